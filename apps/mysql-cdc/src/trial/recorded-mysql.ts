/**
 * A RECORDING of MySQL 8.0 and 8.4, of which tests can have no server. What it proves is that nothing is asked of these that
 * they do not know, and that their answers and their log are understood; not that they behave so.
 *
 * - Their log: events recorded from MySQL 9.7 (`recorded-events.ts`), laid out as theirs (`recorded-log.ts`).
 * - What they answer: written by hand after their manuals. Statements have their old names, their new ones, or both; settings
 *   are those that the version knows, as it has them when it is installed.
 */
import { EXECUTED, FILE, UUID } from './recorded-events.js';
import { recordedLog, type LogForm } from './recorded-log.js';
import type { Answer, Recording } from './recorded-server.js';

export interface Release extends LogForm {
  /** Those of them that the version knows. */
  readonly statements: readonly (keyof typeof RENAMED)[];
  /** Where they are others than those of all versions. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Statements that were renamed, and what they answer. Another replica is there, with the number 1000. */
const RENAMED = {
  'SHOW MASTER STATUS': (begin: number) => end(begin),
  'SHOW BINARY LOG STATUS': (begin: number) => end(begin),
  'SHOW SLAVE HOSTS': () => replicas(['Server_id', 'Host', 'Port', 'Master_id', 'Slave_UUID']),
  'SHOW REPLICAS': () => replicas(['Server_Id', 'Host', 'Port', 'Source_Id', 'Replica_UUID']),
  'SHOW SLAVE STATUS': () => nothing('Slave_IO_State'),
  'SHOW REPLICA STATUS': () => nothing('Replica_IO_State'),
} as const satisfies Readonly<Record<string, (begin: number) => Answer>>;

/** What each knows: renamed in 8.0.22 (replicas) and 8.2.0 (the log), the old names were taken away in 8.4.0. */
export const RELEASES: readonly Release[] = [
  {
    version: '8.0.21',
    statements: ['SHOW MASTER STATUS', 'SHOW SLAVE HOSTS', 'SHOW SLAVE STATUS'],
    settings: { log_slave_updates: 'ON', expire_logs_days: '0' },
    ...{ eventTypes: 40, tags: false },
  },
  {
    version: '8.0.43',
    statements: ['SHOW MASTER STATUS', 'SHOW SLAVE HOSTS', 'SHOW REPLICAS', 'SHOW SLAVE STATUS', 'SHOW REPLICA STATUS'],
    settings: {
      ...{ log_slave_updates: 'ON', log_replica_updates: 'ON', expire_logs_days: '0' },
      binlog_expire_logs_auto_purge: 'ON',
    },
    ...{ eventTypes: 41, tags: false },
  },
  {
    version: '8.4.6',
    statements: ['SHOW BINARY LOG STATUS', 'SHOW REPLICAS', 'SHOW REPLICA STATUS'],
    settings: { log_slave_updates: 'ON', log_replica_updates: 'ON', binlog_expire_logs_auto_purge: 'ON' },
    ...{ eventTypes: 42, tags: true },
  },
];

/** Of all three, as they are installed. */
const SETTINGS: Readonly<Record<string, string>> = {
  log_bin: 'ON',
  binlog_format: 'ROW',
  binlog_row_image: 'FULL',
  binlog_row_metadata: 'MINIMAL',
  binlog_row_value_options: '',
  binlog_expire_logs_seconds: '2592000',
  gtid_mode: 'OFF',
};

const table = (columns: readonly string[], ...rows: readonly (readonly (string | null)[])[]): Answer => ({
  columns,
  rows,
});
const value = (text: string): Answer => table(['value'], [text]);
const nothing = (column: string): Answer => table([column]);
const replicas = (columns: readonly string[]): Answer =>
  table(columns, ['1000', 'another', '3306', '1', '3e11fa47-71ca-11e1-9e33-c80aa9429562']);
const end = (begin: number): Answer =>
  table(
    ['File', 'Position', 'Binlog_Do_DB', 'Binlog_Ignore_DB', 'Executed_Gtid_Set'],
    [FILE, String(begin), '', '', EXECUTED],
  );

const COLUMNS = [
  ['id', 'bigint', 'bigint unsigned', null, null],
  ['customer', 'varchar', 'varchar(20)', 'utf8mb4', 'utf8mb4_0900_ai_ci'],
  ['total', 'decimal', 'decimal(12,2)', null, null],
  ['placed', 'datetime', 'datetime(3)', null, null],
  ['doc', 'json', 'json', null, null],
] as const;
/** Of `shop.orders` at the place where reading begins. */
const ROWS = [
  ['1', 'Ada', '10.50', '2024-02-29 12:00:00.125', '{"a": 1.0}'],
  ['2', 'Bo', '0.10', null, null],
];

type Question = readonly [asked: RegExp, answer: Answer];

/** What all three answer in the same words. */
const COMMON: readonly Question[] = [
  [/^SET SESSION max_statement_time/, { errno: 1193, state: 'HY000', message: 'Unknown system variable' }],
  [/^(SET|START TRANSACTION|COMMIT|ROLLBACK|LOCK TABLES|UNLOCK TABLES)\b/, 'done'],
  [/^SELECT @@server_id AS id/, table(['id', 'folding', 'host', 'port'], ['1', '0', 'recorded', '3306'])],
  [/^SELECT @@server_uuid/, value(UUID)],
  [/^SELECT @master_binlog_checksum/, value('CRC32')],
  [/^SELECT @@GLOBAL\.gtid_executed/, value(EXECUTED)],
  [/^SELECT @@GLOBAL\.gtid_(owned|purged)/, value('')],
  [/^SELECT CURRENT_USER\(\)/, value('cdc@%')],
  [/^SELECT CONNECTION_ID\(\)/, value('8')],
  [/^SHOW GRANTS/, value("GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'cdc'@'%'")],
  [/^XA RECOVER$/, table(['formatID', 'gtrid_length', 'bqual_length', 'data'])],
  [/^SHOW GLOBAL STATUS LIKE 'Com\\_xa\\_commit'/, table(['Variable_name', 'Value'], ['Com_xa_commit', '0'])],
  [
    /information_schema\.TABLES/,
    table(['s', 't', 'form', 'engine', 'n'], ['shop', 'orders', 'BASE TABLE', 'InnoDB', '2']),
  ],
  [
    /information_schema\.COLUMNS/,
    table(
      ['s', 't', 'c', 'type', 'declared', 'charset', 'collation'],
      ...COLUMNS.map((one) => ['shop', 'orders', ...one]),
    ),
  ],
  [/information_schema\.STATISTICS/, table(['s', 't', 'c'], ['shop', 'orders', 'id'])],
  [/information_schema\.REFERENTIAL_CONSTRAINTS/, table(['s', 't'])],
  [
    /information_schema\.COLLATION_CHARACTER_SET_APPLICABILITY/,
    { errno: 1054, state: '42S22', message: "Unknown column 'ID' in 'field list'" },
  ],
  [/information_schema\.COLLATIONS/, table(['id', 'name'], ['63', 'binary'], ['255', 'utf8mb4'])],
  [/^SELECT .* FROM `shop`\.`orders`.* LIMIT 0$/, table(COLUMNS.map(([name]) => name))],
  [
    /^SELECT .* FROM `shop`\.`orders`/,
    table(
      COLUMNS.map(([name]) => name),
      ...ROWS,
    ),
  ],
];

/** @param settings that somebody has changed, those of them that the version knows */
export function recordedMySql(release: Release, settings: Readonly<Record<string, string>>): Recording {
  const { version, statements } = release;
  const known: Readonly<Record<string, string>> = { ...SETTINGS, ...release.settings };
  const { begin, play } = recordedLog(release);
  return {
    ...{ version, user: 'cdc', password: 'secret-canary', log: play },
    answer(sql) {
      if (/^SELECT VERSION\(\)/.test(sql)) return value(version);
      const [, setting] = /^SHOW GLOBAL VARIABLES LIKE '(.*)'$/.exec(sql) ?? [];
      const name = setting?.replaceAll('\\_', '_');
      if (name !== undefined) {
        const set = known[name] === undefined ? null : (settings[name] ?? known[name]);
        return table(['Variable_name', 'Value'], ...(set === null ? [] : [[name, set]]));
      }
      const renamed = statements.find((one) => one === sql);
      if (renamed !== undefined) return RENAMED[renamed](begin);
      if (sql === 'SHOW BINARY LOGS') return table(['Log_name', 'File_size', 'Encrypted'], [FILE, String(begin), 'No']);
      return COMMON.find(([asked]) => asked.test(sql))?.[1] ?? null;
    },
  };
}

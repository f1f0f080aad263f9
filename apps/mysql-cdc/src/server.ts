import { StreamError } from '@planasonix/core';
import type { Session } from './session.js';

export type Flavor = 'mysql' | 'mariadb';

/** What a stream has to know of its server. */
export interface Server {
  readonly flavor: Flavor;
  readonly version: string;
  /** 10.11.4 → 101104 */
  readonly number: number;
  /** Which server it is: server_uuid of MySQL, of MariaDB what comes nearest to one. */
  readonly identity: string;
  readonly serverId: number;
  /** Names of tables do not tell upper from lower case. */
  readonly foldsCase: boolean;
}

const text = (value: string | null | undefined): string => value ?? '';

export async function serverOf(session: Session): Promise<Server> {
  const version = text(await session.value('SELECT VERSION()'));
  const flavor: Flavor = /mariadb/i.test(version) ? 'mariadb' : 'mysql';
  const [, major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  const [row] = await session.query(
    'SELECT @@server_id AS id, @@lower_case_table_names AS folding, @@hostname AS host, @@port AS port',
  );
  const uid =
    flavor === 'mysql'
      ? text(await session.value('SELECT @@server_uuid'))
      : `${text(await variable(session, 'server_uid'))}:${text(row?.['host'])}:${text(row?.['port'])}`;
  return {
    ...{ flavor, version, identity: `${flavor}:${uid}` },
    number: major * 10_000 + minor * 100 + patch,
    serverId: Number(row?.['id']),
    foldsCase: row?.['folding'] !== '0',
  };
}

/** A setting of the server; `null` where it does not know it. @param name of ours, never a user's */
export async function variable(session: Session, name: string): Promise<string | null> {
  const [row] = await session.query(`SHOW GLOBAL VARIABLES LIKE '${name.replaceAll('_', '\\_')}'`);
  return row?.['Value'] ?? null;
}

/** Who asks. @returns `to`: as the account stands in a `GRANT` */
export async function userOf(session: Session): Promise<{ readonly name: string; readonly to: string }> {
  const name = (await session.value('SELECT CURRENT_USER()')) ?? '';
  const [account = '', host = '%'] = name.split(/@(?=[^@]*$)/);
  return { name, to: `'${account.replaceAll("'", "''")}'@'${host.replaceAll("'", "''")}'` };
}

export interface LogPlace {
  readonly file: string;
  readonly pos: number;
}

/** Asks for the end of the log, and for what is left out of it. */
export const logStatusSql = ({ flavor, number }: Server): string =>
  flavor === 'mysql' && number >= 80_200 ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS';

/** The end of the log. @throws StreamError `binlog_format_unsupported` where there is none */
export async function logEnd(session: Session, server: Server): Promise<LogPlace> {
  const [row] = await session.query(logStatusSql(server));
  if (row?.['File'] === undefined || row['File'] === null)
    throw new StreamError('binlog_format_unsupported', 'The server writes no binlog.', {
      hint: 'Set log_bin = binlog and server_id = 1 in the server’s configuration and restart it.',
    });
  return { file: row['File'], pos: Number(row['Position']) };
}

export interface LogFile {
  readonly file: string;
  readonly bytes: number;
}

/** The files of the log that are there, oldest first. */
export async function logFiles(session: Session): Promise<readonly LogFile[]> {
  const rows = await session.query('SHOW BINARY LOGS');
  return rows.map((row) => ({ file: text(row['Log_name']), bytes: Number(row['File_size']) }));
}

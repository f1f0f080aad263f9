import type { MySqlConfig } from './config.js';
import { parsePattern, qualified, quoteLiteral } from './identifier.js';
import type { ColumnKind, Kinds } from './position.js';
import type { Server } from './server.js';
import type { Row, Session } from './session.js';
import { isGone } from './stream-error.js';

export interface SourceColumn {
  readonly name: string;
  /** `DATA_TYPE` of the catalog: `bigint`, `varchar`. */
  readonly type: string;
  /** `COLUMN_TYPE`: `bigint(20) unsigned`. */
  readonly declared: string;
  readonly charset: string | null;
  readonly collation: string | null;
  /** Whether the server works it out of others, each time that it is asked for or once; `null`: it does not. */
  readonly generated: 'virtual' | 'stored' | null;
}

/** A table that a stream reads, as the catalog has it now. */
export interface SourceTable {
  readonly schema: string;
  readonly table: string;
  /** `BASE TABLE`, `SYSTEM VERSIONED`, `SEQUENCE`, … */
  readonly form: string;
  readonly engine: string;
  /** In the table's order, also those that are excluded. */
  readonly columns: readonly SourceColumn[];
  /** As the log tells it: the primary key, or the first unique key that can hold no null. */
  readonly key: readonly string[];
  /** Name of the index of that key; `null` without one. */
  readonly keyIndex: string | null;
  /** Whether a foreign key changes its rows when those of another table are deleted or updated. */
  readonly cascades: boolean;
  /** The server's own guess. */
  readonly estimatedRows: number | null;
  /** What the log has no word for. */
  readonly kinds: Readonly<Record<string, ColumnKind>>;
}

type Wanted = Pick<MySqlConfig, 'tables' | 'exclude_tables'>;
export type TableName = Pick<SourceTable, 'schema' | 'table'>;
export type Asks = (schema: string, table: string) => boolean;

const SYSTEM = new Set(['mysql', 'information_schema', 'performance_schema', 'sys']);

/** Whether a config asks for a table: by its exact name, or by its schema and not excluded. */
export function tableMatcher(config: Wanted, foldsCase: boolean): Asks {
  const fold = (name: string): string => (foldsCase ? name.toLowerCase() : name);
  const read = (texts: readonly string[]) => {
    const patterns = texts.map(parsePattern).filter((one) => one !== null);
    const names = patterns.flatMap(({ schema, table }) => (table === null ? [] : [fold(qualified(schema, table))]));
    const schemas = patterns.flatMap(({ schema, table }) => (table === null ? [fold(schema)] : []));
    return { exact: new Set(names), schemas: new Set(schemas) };
  };
  const [wanted, excluded] = [read(config.tables), read(config.exclude_tables)];
  return (schema, table) => {
    const name = fold(qualified(schema, table));
    if (SYSTEM.has(schema.toLowerCase()) || excluded.exact.has(name) || excluded.schemas.has(fold(schema)))
      return false;
    return wanted.exact.has(name) || wanted.schemas.has(fold(schema));
  };
}

/** Whether two names are those of one table. */
export const sameTable =
  (foldsCase: boolean) =>
  (a: TableName, b: TableName): boolean => {
    const fold = (name: string): string => (foldsCase ? name.toLowerCase() : name);
    return fold(a.schema) === fold(b.schema) && fold(a.table) === fold(b.table);
  };

const list = (names: Iterable<string>): string => [...names].map(quoteLiteral).join(', ');
const by = <T>(rows: readonly T[], name: (row: T) => string): Map<string, T[]> => {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(name(row));
    if (group === undefined) groups.set(name(row), [row]);
    else group.push(row);
  }
  return groups;
};
const at = (row: Row, key: string): string => row[key] ?? '';
const nameOf = (row: Row): string => `${at(row, 's')}.${at(row, 't')}`;

/** MariaDB's JSON is a LONGTEXT with a check of its own: `json_valid(`col`)`. */
const jsonColumn = (clause: string): string | null => {
  const [, quoted] = /^\s*\(?\s*json_valid\s*\(\s*`((?:[^`]|``)+)`\s*\)\s*\)?\s*$/i.exec(clause) ?? [];
  return quoted === undefined ? null : quoted.replaceAll('``', '`');
};

/**
 * The tables of these schemas that `asks` wants, in the catalog's order. Views are none.
 * @param only the one name that is looked at; `null`: all of them
 */
export async function findTables(
  session: Session,
  { flavor }: Server,
  schemas: readonly string[],
  asks: Asks,
  only: string | null = null,
): Promise<readonly SourceTable[]> {
  if (schemas.length === 0) return [];
  const isNamed = only === null ? '' : ` AND TABLE_NAME = ${quoteLiteral(only)}`;
  const inSchemas = (column: string): string => `${column} IN (${list(schemas)})`;
  const tables = (
    await session.query(
      `SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, TABLE_TYPE AS form, ENGINE AS engine, TABLE_ROWS AS n
       FROM information_schema.TABLES WHERE ${inSchemas('TABLE_SCHEMA')}${isNamed} AND TABLE_TYPE NOT LIKE '%VIEW%' ORDER BY 1, 2`,
    )
  ).filter((row) => asks(at(row, 's'), at(row, 't')));
  if (tables.length === 0) return [];
  const named = `${inSchemas('TABLE_SCHEMA')} AND TABLE_NAME IN (${list(new Set(tables.map((row) => at(row, 't'))))})`;
  const columns = by(
    await session.query(
      `SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, COLUMN_NAME AS c, DATA_TYPE AS type, COLUMN_TYPE AS declared, CHARACTER_SET_NAME AS charset, COLLATION_NAME AS collation, EXTRA AS extra
       FROM information_schema.COLUMNS WHERE ${named} ORDER BY 1, 2, ORDINAL_POSITION`,
    ),
    nameOf,
  );
  const keys = by(
    await session.query(
      `SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, COLUMN_NAME AS c FROM information_schema.STATISTICS
       WHERE ${named} AND INDEX_NAME = 'PRIMARY' ORDER BY 1, 2, SEQ_IN_INDEX`,
    ),
    nameOf,
  );
  const cascades = new Set(
    (
      await session.query(
        `SELECT CONSTRAINT_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.REFERENTIAL_CONSTRAINTS
         WHERE ${inSchemas('CONSTRAINT_SCHEMA')} AND (DELETE_RULE IN ('CASCADE', 'SET NULL') OR UPDATE_RULE IN ('CASCADE', 'SET NULL'))`,
      )
    ).map(nameOf),
  );
  const checks =
    flavor === 'mysql'
      ? new Map<string, Row[]>()
      : by(
          await session.query(
            `SELECT CONSTRAINT_SCHEMA AS s, TABLE_NAME AS t, CHECK_CLAUSE AS clause
             FROM information_schema.CHECK_CONSTRAINTS WHERE ${inSchemas('CONSTRAINT_SCHEMA')}`,
          ),
          nameOf,
        );
  const described: SourceTable[] = [];
  for (const row of tables) {
    const name = nameOf(row);
    const primary = (keys.get(name) ?? []).map((part) => at(part, 'c'));
    const json = new Set((checks.get(name) ?? []).flatMap((check) => jsonColumn(at(check, 'clause')) ?? []));
    const found = (columns.get(name) ?? []).map((column) => ({
      name: at(column, 'c'),
      type: at(column, 'type').toLowerCase(),
      declared: at(column, 'declared'),
      charset: column['charset'] ?? null,
      collation: column['collation'] ?? null,
      generated: generatedOf(column['extra'] ?? ''),
    }));
    const key =
      primary.length > 0
        ? { key: primary, keyIndex: 'PRIMARY' }
        : await uniqueKey(session, qualified(at(row, 's'), at(row, 't')), at(row, 'engine'), found);
    if (key === null) continue;
    described.push({
      ...{ schema: at(row, 's'), table: at(row, 't'), form: at(row, 'form'), engine: at(row, 'engine') },
      columns: found,
      ...key,
      cascades: cascades.has(name),
      estimatedRows: row['n'] === null || row['n'] === undefined ? null : Number(row['n']),
      kinds: kindsOf(flavor, found, json),
    });
  }
  return described;
}

const generatedOf = (extra: string): SourceColumn['generated'] =>
  /VIRTUAL GENERATED/i.test(extra) ? 'virtual' : /(STORED|PERSISTENT)/i.test(extra) ? 'stored' : null;

/** `null`: the table is gone since. Without a primary key the server takes the first unique one of whole columns without null, in the order of `SHOW INDEX`. */
async function uniqueKey(
  session: Session,
  name: string,
  engine: string,
  columns: readonly SourceColumn[],
): Promise<Pick<SourceTable, 'key' | 'keyIndex'> | null> {
  const virtual = new Set(columns.filter(({ generated }) => generated === 'virtual').map((column) => column.name));
  const shown = await session.query(`SHOW INDEX FROM ${name}`).catch((error: unknown) => {
    if (isGone(error)) return null;
    throw error;
  });
  if (shown === null) return null;
  const rows = shown.filter((row) => row['Non_unique'] === '0');
  const whole = (part: Row): boolean =>
    part['Sub_part'] === null &&
    part['Null'] !== 'YES' &&
    part['Column_name'] !== null &&
    // Kept as a hash of the values (MariaDB), or worked out of others (MySQL): no key to the log.
    !(part['Index_type'] === 'HASH' && engine !== 'MEMORY') &&
    !virtual.has(at(part, 'Column_name'));
  const first = [...by(rows, (row) => at(row, 'Key_name'))].find(([, parts]) => parts.every(whole));
  if (first === undefined) return { key: [], keyIndex: null };
  const [keyIndex, parts] = first;
  return { key: parts.map((part) => at(part, 'Column_name')), keyIndex };
}

/** One table as it is now; `null`: it is not there. */
export async function describeTable(
  session: Session,
  server: Server,
  { schema, table }: { readonly schema: string; readonly table: string },
): Promise<SourceTable | null> {
  const same: Asks = (s, t) => s === schema && t === table;
  return (await findTables(session, server, [schema], same, table))[0] ?? null;
}

function kindsOf(
  flavor: Server['flavor'],
  columns: readonly SourceColumn[],
  json: ReadonlySet<string>,
): Readonly<Record<string, ColumnKind>> {
  if (flavor === 'mysql') return {};
  const kind = ({ name, type }: SourceColumn): ColumnKind | null =>
    type === 'uuid' || type === 'inet6' || type === 'inet4'
      ? type
      : type === 'longtext' && json.has(name)
        ? 'json'
        : null;
  return Object.fromEntries(
    columns.flatMap((column) => {
      const found = kind(column);
      return found === null ? [] : [[column.name, found] as const];
    }),
  );
}

/** The tables that a config asks for. */
export function resolveTables(
  session: Session,
  server: Server,
  config: Wanted,
  asks: Asks = tableMatcher(config, server.foldsCase),
): Promise<readonly SourceTable[]> {
  const schemas = new Set(config.tables.flatMap((text) => parsePattern(text)?.schema ?? []));
  return findTables(session, server, [...schemas], asks);
}

/** Exact names that no table answers to. */
export function missingTables(
  config: Wanted,
  tables: readonly Pick<SourceTable, 'schema' | 'table'>[],
  foldsCase: boolean,
): string[] {
  const fold = (name: string): string => (foldsCase ? name.toLowerCase() : name);
  const found = new Set(tables.map(({ schema, table }) => fold(qualified(schema, table))));
  const asks = tableMatcher(config, foldsCase);
  return config.tables.filter((text) => {
    const pattern = parsePattern(text);
    if (pattern === null || pattern.table === null) return false;
    return asks(pattern.schema, pattern.table) && !found.has(fold(qualified(pattern.schema, pattern.table)));
  });
}

/** By table, where there are any. */
export const kindsByTable = (tables: readonly SourceTable[]): Kinds =>
  Object.fromEntries(
    tables.flatMap(({ schema, table, kinds }) =>
      Object.keys(kinds).length === 0 ? [] : [[`${schema}.${table}`, kinds] as const],
    ),
  );

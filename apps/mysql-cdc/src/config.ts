import { StreamError, type JsonSchema } from '@planasonix/core';
import { z } from 'zod';
import { TABLE_NAME, TABLE_PATTERN, parsePattern, unquote } from './identifier.js';

const pattern = z.string().max(260).regex(TABLE_PATTERN, 'is not schema.table or schema.*').meta({
  description: 'A table with its schema, such as shop.orders; shop.* is all tables of one.',
});

const schema = z.strictObject({
  tables: z
    .array(pattern)
    .min(1)
    .max(1000)
    .meta({
      description: 'Exact names, or `schema.*`; parts in backticks as in SQL.',
      examples: [['shop.orders', 'crm.*', '`odd name`.t']],
    }),
  exclude_tables: z
    .array(pattern)
    .max(1000)
    .default([])
    .meta({ description: 'Left out of what `tables` matches.', examples: [['shop.audit']] }),
  exclude_columns: z
    .record(z.string().max(260).regex(TABLE_NAME, 'is not schema.table'), z.array(z.string().min(1).max(130)).max(4096))
    .default({})
    .meta({
      description: 'By table: columns that never leave the worker.',
      examples: [{ 'shop.users': ['password_hash'] }],
    }),
  snapshot: z
    .enum(['initial', 'never', 'only'])
    .default('initial')
    .meta({
      description:
        '`initial`: rows first, as `op:"r"`, then changes. `never`: changes only, and the rows of a table that gets others by a rename or an exchanged partition. `only`: rows, then it stops.',
      examples: ['initial'],
    }),
  snapshot_readers: z
    .int()
    .min(1)
    .max(8)
    .default(3)
    .meta({
      description: 'Chunks of rows that are read at once: what the reading of rows may cost the source.',
      examples: [3],
    }),
  snapshot_max_rows_per_second: z
    .int()
    .min(1)
    .optional()
    .meta({
      description:
        'Rows of snapshots that are read in a second at the most, by all readers together: in any n seconds no more than n + 1 times as many, or `snapshot_readers` + 1 rows more than n times as many where that is more. Default: no limit.',
      examples: [20000],
    }),
  server_id: z
    .union([z.literal('auto'), z.int().min(1).max(4_294_967_295)])
    .default('auto')
    .meta({
      description:
        'By which the source knows this reader among its replicas. `auto`: one from 1610612736 to 1879048191 that no replica has, of those that the user of the connection may list: MariaDB shows them to whoever has REPLICATION MASTER ADMIN, else `check` warns.',
      examples: ['auto'],
    }),
});

/**
 * What a user asks of a stream. `exclude_columns` is keyed by the plain `schema.table` of the catalog, without quotes,
 * whatever notation the user chose; its names are those of the catalog.
 */
export type MySqlConfig = z.output<typeof schema>;

/** As announced to the gateway: what does not fit is refused there, injection in names included. */
export const configJsonSchema: JsonSchema = z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'input' });

/** A column as written and as SQL reads it: what may be meant is left out, rather than let slip. */
const columnNames = (text: string): readonly string[] => (/^`.+`$/s.test(text) ? [unquote(text), text] : [text]);

/** @throws StreamError `config_invalid` with every problem. */
export function parseConfig(raw: unknown): MySqlConfig {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'config'}: ${issue.message}`);
    throw new StreamError('config_invalid', problems.join('; '));
  }
  const config = parsed.data;
  for (const text of [...config.tables, ...config.exclude_tables, ...Object.keys(config.exclude_columns)])
    if (parsePattern(text) === null)
      throw new StreamError('config_invalid', `${text}: a name has 64 characters at most.`);
  const columns: Record<string, string[]> = {};
  for (const [text, names] of Object.entries(config.exclude_columns)) {
    const { schema: of, table } = parsePattern(text)!;
    const key = `${of}.${table}`;
    columns[key] = [...new Set([...(columns[key] ?? []), ...names.flatMap(columnNames)])];
  }
  return { ...config, exclude_columns: columns };
}

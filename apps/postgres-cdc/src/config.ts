import { StreamError, type JsonSchema } from '@planasonix/core';
import { z } from 'zod';
import { TABLE_NAME, TABLE_PATTERN, parsePattern, unquote } from './identifier.js';

const pattern = z.string().max(260).regex(TABLE_PATTERN, 'is not schema.table or schema.*').meta({
  description: 'A table with its schema, such as public.orders; public.* is all tables of one.',
});

const schema = z.strictObject({
  tables: z
    .array(pattern)
    .min(1)
    .max(1000)
    .meta({
      description: 'Exact names, or `schema.*`; parts in double quotes as in SQL. Partitions come as their root.',
      examples: [['public.orders', 'shop.*', '"Odd Name".t']],
    }),
  exclude_tables: z
    .array(pattern)
    .max(1000)
    .default([])
    .meta({ description: 'Left out of what `tables` matches.', examples: [['shop.audit']] }),
  exclude_columns: z
    .record(z.string().max(260).regex(TABLE_NAME, 'is not schema.table'), z.array(z.string().min(1).max(130)).max(1600))
    .default({})
    .meta({
      description: 'By table: columns that never leave the worker. Not those of its key.',
      examples: [{ 'public.users': ['password_hash'] }],
    }),
  publication: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_$]{0,62}$/, 'is not a plain name of at most 63 characters')
    .optional()
    .meta({
      description:
        'Default: made by the stream and dropped with it. One that exists is used and never dropped; rows that are read obey its row filters and column lists as changes do.',
      examples: ['planasonix_orders_pub'],
    }),
  slot_name: z
    .string()
    .regex(/^[a-z0-9_]{1,63}$/, 'takes a-z, 0-9 and _, 63 at most')
    .optional()
    .meta({
      description: 'Default: made by the stream and dropped with it. One that exists is used and never dropped.',
      examples: ['planasonix_orders_slot'],
      'x-exclusive': true,
    }),
  snapshot: z
    .enum(['initial', 'never', 'only'])
    .default('initial')
    .meta({
      description:
        '`initial`: rows first, as `op:"r"`, then changes. `never`: changes only. `only`: rows, then it stops.',
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
  logical_messages: z
    .boolean()
    .default(true)
    .meta({
      description:
        'Whether logical messages may be written into the WAL of the source: heartbeats for idle databases, marks for snapshots. Nothing else is ever written there.',
      examples: [true],
    }),
  heartbeat_interval: z
    .string()
    .regex(/^(?:[1-9][0-9]{2,6}ms|[1-9][0-9]{0,3}s|[1-9][0-9]?m)$/, 'is not a time such as 500ms, 10s or 1m')
    .default('10s')
    .meta({
      description: 'How often an idle database is kept moving, so that its slot does not hold back WAL. From 100ms.',
      examples: ['10s'],
    }),
  wal_budget: z
    .strictObject({
      bytes: z
        .union([
          z
            .int()
            .min(1 << 20)
            .max(2 ** 50),
          z.string().regex(/^[1-9][0-9]{0,5}(?:MB|GB|TB)$/, 'is not a size such as 500MB or 10GB'),
        ])
        .meta({ description: 'Bytes, or a size as Postgres writes it (1 GB is 1024 MB). From 1MB.' }),
      on_exceeded: z.enum(['warn', 'release']).default('warn').meta({
        description:
          '`warn`: it shows in metrics and as the finding `wal_budget_exceeded`. `release`: also of a paused or stopped stream, the slot that the stream made is dropped and the stream goes to `error` `wal_budget_exceeded`; start it with `{"onLostPosition":"resnapshot"}`.',
      }),
    })
    .optional()
    .meta({
      description:
        'How much WAL the stream may hold back at the source, and what happens beyond that. A slot holds back what is written between two checkpoints in any case: allow for some minutes of writing.',
      examples: [{ bytes: '10GB', on_exceeded: 'release' }],
    }),
  failover: z
    .boolean()
    .default(false)
    .meta({
      description:
        'Postgres 17 and later: the slot is kept in step on standbys that are set up for it, and the stream goes on there after a promotion where that is proved to lose nothing.',
      examples: [true],
    }),
});

/**
 * What a user asks of a Postgres stream. `exclude_columns` is keyed by the plain `schema.table` of the catalog, without
 * quotes, whatever notation the user chose; its names are those of the catalog.
 */
export type PostgresConfig = z.output<typeof schema>;

/** How much WAL the stream may hold back, and what happens beyond that. */
export interface WalBudget {
  readonly bytes: number;
  readonly on_exceeded: 'warn' | 'release';
}

/** As announced to the gateway: what does not fit is refused there, injection in names included. */
export const configJsonSchema: JsonSchema = z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'input' });

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

const milliseconds = (text: string): number => {
  const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(text)!;
  return Number(count) * UNITS[unit!]!;
};

const SIZES: Readonly<Record<string, number>> = { MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };

const sizeOf = (size: number | string): number =>
  typeof size === 'number' ? size : Number(size.slice(0, -2)) * SIZES[size.slice(-2)]!;

/** A column as written and as SQL reads it: what may be meant is left out, rather than let slip. */
const columnNames = (text: string): readonly string[] =>
  /^".+"$/s.test(text) ? [unquote(text)] : [...new Set([text, unquote(text)])];

/** @throws StreamError `config_invalid` with every problem. */
export function parseConfig(
  raw: unknown,
): PostgresConfig & { readonly heartbeatMs: number; readonly walBudget: WalBudget | null } {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'config'}: ${issue.message}`);
    throw new StreamError('config_invalid', problems.join('; '));
  }
  const config = parsed.data;
  for (const text of [...config.tables, ...config.exclude_tables, ...Object.keys(config.exclude_columns)])
    if (parsePattern(text) === null)
      throw new StreamError('config_invalid', `${text}: a name in Postgres has 63 bytes at most.`);
  const columns: Record<string, string[]> = {};
  for (const [text, names] of Object.entries(config.exclude_columns)) {
    const { schema: of, table } = parsePattern(text)!;
    const key = `${of}.${table}`;
    columns[key] = [...new Set([...(columns[key] ?? []), ...names.flatMap(columnNames)])];
  }
  return {
    ...config,
    exclude_columns: columns,
    heartbeatMs: milliseconds(config.heartbeat_interval),
    walBudget:
      config.wal_budget === undefined ? null : { ...config.wal_budget, bytes: sizeOf(config.wal_budget.bytes) },
  };
}

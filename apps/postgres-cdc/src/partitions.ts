import type { Client } from 'pg';
import { qualified } from './identifier.js';

/** OID → name of the partitions of a table that hold rows. */
export type Partitions = ReadonlyMap<number, string>;

/** From the catalog alone: the server's own function waits for whoever keeps a partition locked. */
const LEAVES = `
  WITH RECURSIVE below(root, relid) AS (
    SELECT c.oid, c.oid FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'p'
    UNION ALL SELECT b.root, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.relid AND NOT i.inhdetachpending)
  SELECT b.root, l.oid AS leaf, n.nspname AS schema, l.relname AS table,
    (l.oid IN (SELECT k.relation FROM pg_locks k WHERE k.relation IS NOT NULL AND k.mode = 'AccessExclusiveLock'))::text AS locked
  FROM below b LEFT JOIN pg_class l ON l.oid = b.relid AND l.relkind = 'r' LEFT JOIN pg_namespace n ON n.oid = l.relnamespace`;

/**
 * Whether it holds rows that were there before it was a part of the table: nobody has said them. Looked for where such
 * rows lie, at its beginning; what was written since is younger than the entry that makes it a partition, or of a later
 * command of the same transaction.
 */
const FILLED = (leaf: string) => `
  SELECT EXISTS (SELECT FROM ONLY ${leaf} AS l WHERE l.ctid < '(1000,0)' AND (age(l.xmin) > a.age OR age(l.xmin) < 0
    OR age(l.xmin) = a.age AND l.cmin::text::bigint < a.command)) AS filled
  FROM (SELECT age(i.xmin) AS age, i.cmin::text::bigint AS command FROM pg_inherits i
    WHERE i.inhrelid IN (SELECT relid FROM pg_partition_ancestors($1::oid)) ORDER BY 1, 2 DESC LIMIT 1) a`;

interface Leaf {
  readonly name: string;
  /** Somebody keeps it to himself: it can't be looked into now. */
  readonly locked: boolean;
}

/** The partitions of each partitioned table of `oids`. */
async function partitionsOf(control: Client, oids: Iterable<number>): Promise<Map<number, Map<number, Leaf>>> {
  const { rows } = await control.query<
    Record<'root' | 'schema' | 'table' | 'locked', string> & { readonly leaf: string | null }
  >(LEAVES, [[...oids]]);
  const found = new Map<number, Map<number, Leaf>>();
  for (const { root, leaf, schema, table, locked } of rows) {
    const of = found.get(Number(root)) ?? new Map<number, Leaf>();
    found.set(Number(root), of);
    if (leaf !== null) of.set(Number(leaf), { name: qualified(schema, table), locked: locked === 'true' });
  }
  return found;
}

/** `null`: it can't be looked into. @throws where the server is gone */
async function filled(control: Client, leaf: number, name: string): Promise<boolean | null> {
  try {
    const { rows } = await control.query<{ filled: string }>(FILLED(name), [leaf]);
    return rows[0]?.filled === 't';
  } catch (error) {
    // A word of the server's on this one partition; not the loss of the connection, nor its end.
    if (/^(?!08|57)[0-9A-Z]{5}$/.test((error as { code?: string }).code ?? '')) return null;
    throw error;
  }
}

export interface PartitionNews {
  /** Tables with a new partition that brought rows of its own. */
  readonly filled: readonly number[];
  /** Table → what a person should know of it. */
  readonly told: ReadonlyMap<number, string>;
  /** The partitions of some table are others than before. */
  readonly changed: boolean;
  /** Takes note of all that: to be called in the same turn in which `filled` is acted upon. */
  accept(): void;
}

/** Watches which partitions tables have: rows come with one that is attached, and go with one that is detached or dropped. */
export class PartitionWatch {
  /** @param seen table → its partitions, as they were noted; goes on to be kept here */
  constructor(readonly seen: Map<number, Partitions>) {}

  async look(control: Client, oids: Iterable<number>): Promise<PartitionNews> {
    const found = await partitionsOf(control, oids);
    const now = new Map<number, Partitions>();
    const [full, told] = [new Set<number>(), new Map<number, string>()];
    let changed = false;
    for (const [root, all] of found) {
      const before = this.seen.get(root);
      // A new one that is locked is new at the next look as well.
      const usable = [...all].filter(([leaf, { locked }]) => !locked || before === undefined || before.has(leaf));
      const leaves: Partitions = new Map(usable.map(([leaf, { name }]) => [leaf, name]));
      const gone = [...(before ?? [])].filter(([leaf]) => !leaves.has(leaf));
      const come = before === undefined ? [] : [...leaves].filter(([leaf]) => !before.has(leaf));
      for (const [leaf, name] of come) {
        const has = await filled(control, leaf, name);
        if (has === true) full.add(root);
        if (has === null)
          told.set(
            root,
            `The partition ${name} is new and can't be looked into; if it brought rows, order a snapshot.`,
          );
      }
      if (gone.length > 0)
        told.set(
          root,
          `Detached or dropped: ${gone.map(([, name]) => name).join(', ')}. No change says so: readers keep these rows.`,
        );
      changed ||= before === undefined || gone.length + come.length > 0;
      now.set(root, leaves);
    }
    const accept = (): void => {
      for (const [root, leaves] of now) this.seen.set(root, leaves);
    };
    return { filled: [...full], told, changed, accept };
  }
}

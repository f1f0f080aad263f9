import type { Client } from 'pg';
import { qualified } from './identifier.js';

/** OID → name of the partitions of a table that hold rows. */
export type Partitions = ReadonlyMap<number, string>;

const LEAVES = `
  SELECT r.oid AS root, l.oid AS leaf, n.nspname AS schema, l.relname AS table
  FROM unnest($1::oid[]) AS r(oid) JOIN pg_class c ON c.oid = r.oid AND c.relkind = 'p'
  LEFT JOIN LATERAL (SELECT t.relid FROM pg_partition_tree(r.oid) t WHERE t.isleaf AND t.relid <> r.oid) t ON true
  LEFT JOIN pg_class l ON l.oid = t.relid LEFT JOIN pg_namespace n ON n.oid = l.relnamespace`;

/**
 * Whether it holds rows that were there before it was a part of the table: nobody has said them. Looked for where such
 * rows lie, at its beginning; what was written since is younger than the entry that makes it a partition.
 */
const FILLED = (leaf: string) => `
  SELECT EXISTS (SELECT FROM ONLY ${leaf} AS l WHERE l.ctid < '(1000,0)' AND (age(l.xmin) >= a.age OR age(l.xmin) < 0)) AS filled
  FROM (SELECT min(age(i.xmin)) AS age FROM pg_inherits i WHERE i.inhrelid IN (SELECT relid FROM pg_partition_ancestors($1::oid))) a`;

/** The partitions of each partitioned table of `oids`. */
async function partitionsOf(control: Client, oids: Iterable<number>): Promise<Map<number, Map<number, string>>> {
  const { rows } = await control.query<{ root: string; leaf: string | null; schema: string; table: string }>(LEAVES, [
    [...oids],
  ]);
  const found = new Map<number, Map<number, string>>();
  for (const { root, leaf, schema, table } of rows) {
    const of = found.get(Number(root)) ?? new Map<number, string>();
    found.set(Number(root), of);
    if (leaf !== null) of.set(Number(leaf), qualified(schema, table));
  }
  return found;
}

/** `null`: it may not be looked into. */
async function filled(control: Client, leaf: number, name: string): Promise<boolean | null> {
  try {
    const { rows } = await control.query<{ filled: string }>(FILLED(name), [leaf]);
    return rows[0]?.filled === 't';
  } catch (error) {
    if (['42501', '42P01'].includes((error as { code?: string }).code ?? '')) return null;
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
}

/** Watches which partitions tables have: rows come with one that is attached, and go with one that is detached or dropped. */
export class PartitionWatch {
  /** @param seen table → its partitions, as they were noted; goes on to be kept here */
  constructor(readonly seen: Map<number, Partitions>) {}

  async look(control: Client, oids: Iterable<number>): Promise<PartitionNews> {
    const now = await partitionsOf(control, oids);
    const [full, told] = [new Set<number>(), new Map<number, string>()];
    let changed = false;
    for (const [root, leaves] of now) {
      const before = this.seen.get(root);
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
      this.seen.set(root, leaves);
    }
    return { filled: [...full], told, changed };
  }
}

import type { Client } from 'pg';
import { KEPT_RELATIONS } from './brief-lock.js';
import type { Emptyings } from './emptyings.js';
import { qualified } from './identifier.js';
import { walEnd } from './slot.js';

/** A partition that holds rows, as it was when it was looked at. */
export interface Partition {
  /** Quoted, with its schema. */
  readonly name: string;
  /** Its file; `null` where an older notebook did not say. */
  readonly file: number | null;
  /** What was written by a lower XID (of 64 bits) was there by then. */
  readonly horizon: bigint;
}

/** By OID. */
export type Partitions = ReadonlyMap<number, Partition>;

/** From the catalog alone: the server's own function waits for whoever keeps a partition locked. */
const LEAVES = `
  WITH RECURSIVE below(root, relid) AS (
    SELECT c.oid, c.oid FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'p'
    UNION ALL SELECT b.root, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.relid AND NOT i.inhdetachpending)
  SELECT h.held, b.root, l.oid AS leaf, n.nspname AS schema, l.relname AS table, l.relfilenode AS file, l.xmin AS written,
    pg_snapshot_xmin(h.held) AS horizon,
    (l.oid IN ${KEPT_RELATIONS})::text AS locked
  FROM (SELECT pg_current_snapshot() AS held) h LEFT JOIN below b ON true
    LEFT JOIN pg_class l ON l.oid = b.relid AND l.relkind = 'r' LEFT JOIN pg_namespace n ON n.oid = l.relnamespace`;

/**
 * Whether it holds rows that were there before it was a part of the table: nobody has said them. Looked for where such
 * rows lie, at its beginning; what was written since is younger than the entry that makes it a partition, or of a later
 * command of the same transaction.
 */
const FILLED = (leaf: string) => `
  SELECT EXISTS (SELECT FROM ONLY ${leaf} AS l WHERE l.ctid < '(1000,0)' AND (age(l.xmin) > a.age OR age(l.xmin) < 0
    OR age(l.xmin) = a.age AND l.cmin::text::bigint < a.command)) AS yes
  FROM (SELECT age(i.xmin) AS age, i.cmin::text::bigint AS command FROM pg_inherits i
    WHERE i.inhrelid IN (SELECT relid FROM pg_partition_ancestors($1::oid)) ORDER BY 1, 2 DESC LIMIT 1) a`;

/**
 * Whether rows of before `horizon` are in it: then its new file is a copy of the old one (VACUUM FULL). Looked for where a
 * copy has the oldest.
 */
const KEPT = (leaf: string) => `
  SELECT EXISTS (SELECT FROM ONLY ${leaf} AS l WHERE l.ctid < '(1000,0)' AND (l.xmin::text::bigint < 3
    OR (4294967296 + $1::bigint % 4294967296 - l.xmin::text::bigint) % 4294967296 BETWEEN 1 AND 2147483647)) AS yes`;

/** Whether one of some transactions changed the form of a table: then it wrote the files of all partitions anew. */
const REFORMED = `
  SELECT (EXISTS (SELECT FROM pg_class WHERE oid = $1::oid AND xmin::text = ANY ($2::text[]))
    OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = $1::oid AND xmin::text = ANY ($2::text[]))) AS yes`;

/** What the stream says of tables that are emptied as a whole. */
export interface Emptiers {
  readonly emptyings: Emptyings;
  /** Everything that committed before this place it has said. */
  readonly reached: () => bigint;
}

/** Partitions have new files, and the stream has not said why. */
interface Open {
  readonly files: string;
  /** Once the stream has passed this place it would have. */
  readonly lsn: bigint;
}

interface Leaf extends Partition {
  /** Somebody keeps it to himself: it can't be looked into now. */
  readonly locked: boolean;
  /** Who wrote its entry in the catalog. */
  readonly written: string;
}

interface Found {
  /** The snapshot in which they were looked at: what it does not see has changed none of their files. */
  readonly held: string;
  /** The partitions of each partitioned table. */
  readonly leaves: ReadonlyMap<number, ReadonlyMap<number, Leaf>>;
}

/** The partitions of those of `oids` that have some. */
async function partitionsOf(control: Client, oids: Iterable<number>): Promise<Found> {
  const { rows } = await control.query<
    Record<'held' | 'schema' | 'table' | 'file' | 'written' | 'horizon' | 'locked', string> &
      Record<'root' | 'leaf', string | null>
  >(LEAVES, [[...oids]]);
  const found = new Map<number, Map<number, Leaf>>();
  for (const { root, leaf, schema, table, file, written, horizon, locked } of rows) {
    if (root === null) continue;
    const of = found.get(Number(root)) ?? new Map<number, Leaf>();
    found.set(Number(root), of);
    if (leaf !== null)
      of.set(Number(leaf), {
        ...{ name: qualified(schema, table), file: Number(file), horizon: BigInt(horizon) },
        ...{ locked: locked === 'true', written },
      });
  }
  return { held: rows[0]!.held, leaves: found };
}

/** As they are. */
export const partitionsNow = async (
  control: Client,
  tables: readonly { readonly oid: number }[],
): Promise<ReadonlyMap<number, Partitions>> =>
  (
    await partitionsOf(
      control,
      tables.map(({ oid }) => oid),
    )
  ).leaves;

/** What a query of one `yes` says of a partition; `null`: it can't be looked into. @throws where the server is gone */
async function within(control: Client, sql: string, ...params: (number | bigint | string)[]): Promise<boolean | null> {
  try {
    const { rows } = await control.query<{ yes: string }>(sql, params.map(String));
    return rows[0]?.yes === 't';
  } catch (error) {
    // A word of the server's on this one partition; not the loss of the connection, nor its end.
    if (/^(?!08|57)[0-9A-Z]{5}$/.test((error as { code?: string }).code ?? '')) return null;
    throw error;
  }
}

type Fresh = Leaf & { readonly oid: number; readonly was: Partition };

/** Those with another file than before. */
const freshOf = (now: ReadonlyMap<number, Leaf>, before: Partitions): Fresh[] =>
  [...now].flatMap(([oid, leaf]) => {
    const was = before.get(oid);
    return was === undefined || was.file === null || was.file === leaf.file ? [] : [{ ...leaf, oid, was }];
  });

/** Those that were emptied by themselves, of which the server publishes nothing under the name of the root. */
async function emptied(control: Client, fresh: readonly Fresh[]): Promise<string[]> {
  const names: string[] = [];
  for (const { name, was } of fresh) if ((await within(control, KEPT(name), was.horizon)) !== true) names.push(name);
  return names;
}

const otherFiles = (now: Partitions, before: Partitions): boolean =>
  [...now].some(([oid, { file }]) => before.get(oid)?.file !== file);

export interface PartitionNews {
  /** Tables with a new partition that brought rows of its own, or of whose partitions nothing was noted when they were taken. */
  readonly filled: readonly number[];
  /** Table → what a person should know of it. */
  readonly told: ReadonlyMap<number, string>;
  /** The partitions of some table are others than before. */
  readonly changed: boolean;
  /** Takes note of all that: to be called in the same turn in which `filled` is acted upon. */
  readonly accept: () => void;
}

/** Watches which partitions tables have: rows come with one that is attached, and go with one that is detached, dropped or emptied. */
export class PartitionWatch {
  private readonly open = new Map<number, Open>();

  /** @param seen table → its partitions, as they were noted; goes on to be kept here */
  constructor(
    readonly seen: Map<number, Partitions>,
    private readonly emptiers: Emptiers,
  ) {}

  /**
   * Tables are about to be taken, whose rows are read under snapshots of later: what comes to them from here on is new.
   *
   * @param then their partitions of an earlier time, from which on they are new
   */
  async note(control: Client, oids: Iterable<number>, then?: ReadonlyMap<number, Partitions>): Promise<void> {
    const { leaves } = await partitionsOf(control, oids);
    for (const [root, now] of leaves) {
      const before = then?.get(root);
      // What was emptied since is another matter: the stream says it from its own beginning on.
      this.seen.set(root, before === undefined ? now : new Map([...before].map(([oid, one]) => [oid, now.get(oid) ?? one]))); // prettier-ignore
    }
  }

  async look(control: Client, oids: Iterable<number>): Promise<PartitionNews> {
    const { held, leaves: found } = await partitionsOf(control, oids);
    const now = new Map<number, Partitions>();
    const [full, told] = [new Set<number>(), new Map<number, string>()];
    const unsure = new Set<number>();
    let changed = false;
    for (const [root, all] of found) {
      const before = this.seen.get(root);
      // One that is locked is as it was, or new at the next look as well.
      const leaves = new Map(
        [...all].flatMap(([oid, leaf]) => {
          if (!leaf.locked || before === undefined) return [[oid, leaf] as const];
          const was = before.get(oid);
          return was === undefined ? [] : [[oid, { ...leaf, ...was }] as const];
        }),
      );
      const gone = [...(before ?? [])].filter(([leaf]) => !leaves.has(leaf));
      const come = before === undefined ? [] : [...leaves].filter(([leaf]) => !before.has(leaf));
      // One may have come with rows after those of the others were read.
      if (before === undefined) full.add(root);
      const notes: string[] = [];
      for (const [leaf, { name }] of come) {
        const has = await within(control, FILLED(name), leaf);
        if (has === true) full.add(root);
        if (has === null)
          notes.push(`The partition ${name} is new and can't be looked into; if it brought rows, order a snapshot.`);
      }
      const fresh = before === undefined ? [] : freshOf(leaves, before);
      // One that is locked may have a new file as well.
      const locked = [...all.values()].some((leaf) => leaf.locked);
      const kept = [...leaves].some(([leaf, { file }]) => before?.get(leaf)?.file === file);
      const by = locked ? 'unknown' : await this.byWhole(control, root, fresh, kept);
      if (by === 'unknown') {
        unsure.add(root);
        // It is known at one of the next looks: until then they are as they were.
        for (const leaf of fresh) leaves.set(leaf.oid, { ...leaf, ...leaf.was });
      }
      const empty = by === 'themselves' ? await emptied(control, fresh) : [];
      if (empty.length > 0)
        notes.push(
          `Emptied or written anew by itself: ${empty.join(', ')}. TRUNCATE of a partition is no change of its table: readers keep its rows.`,
        );
      if (gone.length > 0)
        notes.push(
          `Detached or dropped: ${gone.map(([, { name }]) => name).join(', ')}. No change says so: readers keep these rows.`,
        );
      if (notes.length > 0) told.set(root, notes.join(' '));
      changed ||= before === undefined || gone.length + come.length > 0 || otherFiles(leaves, before);
      now.set(root, leaves);
    }
    const accept = (): void => {
      for (const [root, leaves] of now) this.seen.set(root, leaves);
      this.emptiers.emptyings.looked(held, unsure);
    };
    return { filled: [...full], told, changed, accept };
  }

  /**
   * Whether partitions have new files because of something that was done to their table: TRUNCATE, which the stream says, or
   * another form, for which none has kept its file. Who wrote their entries in the catalog does not tell of a TRUNCATE: a
   * savepoint has an XID of its own, and so has a GRANT that came later.
   */
  private async byWhole(
    control: Client,
    root: number,
    fresh: readonly Fresh[],
    kept: boolean,
  ): Promise<'table' | 'themselves' | 'unknown'> {
    if (fresh.length === 0) return 'themselves';
    const written = `{${[...new Set(fresh.map((leaf) => leaf.written))].join()}}`;
    if (!kept && (await within(control, REFORMED, root, written)) === true) return 'table';
    const { emptyings, reached } = this.emptiers;
    if (emptyings.of(root)) return 'table';
    const files = fresh.map(({ oid, file }) => `${oid}:${file}`).sort().join(); // prettier-ignore
    const open = this.open.get(root);
    if (open?.files === files) return reached() >= open.lsn ? 'themselves' : 'unknown';
    this.open.set(root, { files, lsn: await walEnd(control) });
    return 'unknown';
  }
}

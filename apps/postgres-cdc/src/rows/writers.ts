import type { Client } from 'pg';
import { partitionTree } from '../partition-tree.js';

/** Locks that writers of a table hold until they have ended, and become visible. */
const WRITING = `('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`;

const OF = `
  SELECT DISTINCT l.virtualtransaction AS id, l.pid::text AS pid, coalesce(nullif(a.application_name, ''), a.usename::text, 'prepared transaction') AS who
  FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'relation' AND l.granted AND l.mode IN ${WRITING}
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND l.relation IN ${partitionTree('$1::oid')}`;

/**
 * Of a standby: the locks of the primary's writers are not known there, its transactions are. `next`: the one that has not been
 * heard of yet, in 32 bits; the snapshot's own end is behind the last that has ended, and one that runs may lie beyond it.
 */
const REPLAYED = `
  SELECT pg_catalog.pg_snapshot_xmin(s)::text AS oldest, pg_catalog.pg_snapshot_xmax(s)::text AS ended,
    (pg_catalog.age('3'::xid)::bigint + 3)::text AS next
  FROM pg_catalog.pg_current_snapshot() s WHERE pg_catalog.pg_is_in_recovery()`;

/** Transactions of the primary as a standby knows them, 64 bits each. */
interface Replayed {
  /** All before it have ended. */
  readonly oldest: bigint;
  /** All that have written anything are before it. */
  readonly next: bigint;
}

export interface Writer {
  /** Its virtual transaction: another one of the same session has another. */
  readonly id: string;
  readonly pid: string | null;
  readonly who: string;
}

/** Transactions that have written to a table, or may have, and have not ended (trap 12). A commit that waits for a standby counts. */
export class Writers {
  constructor(
    private readonly known: readonly Writer[],
    private readonly replayed: Replayed | null = null,
  ) {}

  get none(): boolean {
    return this.known.length === 0 && (this.replayed === null || this.replayed.oldest >= this.replayed.next);
  }

  /** Those of them that are still there. */
  remaining(now: Writers): Writers {
    // Promoted meanwhile: what was prepared has locks now.
    if (this.replayed !== null && now.replayed === null) return now;
    const ids = new Set(now.known.map((writer) => writer.id));
    return new Writers(
      this.known.filter((writer) => ids.has(writer.id)),
      this.replayed && { oldest: now.replayed!.oldest, next: this.replayed.next },
    );
  }

  /** `waits for open transactions: pid 411 (psql)` */
  get text(): string {
    if (this.known.length === 0) return `waits for open transactions of the primary, from ${this.replayed!.oldest} on`;
    const more = this.known.length > 3 ? ` and ${this.known.length - 3} more` : '';
    const named = this.known.slice(0, 3).map(({ pid, who }) => (pid === null ? who : `pid ${pid} (${who})`));
    return `waits for open transactions: ${named.join(', ')}${more}`;
  }
}

export async function writersOf(client: Client, oid: number): Promise<Writers> {
  const { rows } = await client.query<{ oldest: string; ended: string; next: string }>(REPLAYED);
  const known = (await client.query<Writer>(OF, [oid])).rows;
  const [of] = rows;
  return new Writers(known, of === undefined ? null : { oldest: BigInt(of.oldest), next: widened(of.next, of.ended) });
}

/** @param next in 32 bits, or that as a signed number. @param near one of 64 bits that is not ahead of it */
export function widened(next: string, near: string): bigint {
  const from = BigInt(near);
  return from + BigInt.asUintN(32, BigInt(next) - from);
}

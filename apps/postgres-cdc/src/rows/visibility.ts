/** What a reading transaction sees, as against place in the WAL: a commit may stand there and not be visible yet (trap 13). */
export interface Visibility {
  /** @param xid 32 bits, of a transaction that has committed. @param commitLsn where its commit record begins. */
  sees(xid: number, commitLsn: bigint): boolean;
}

/** Of what nobody knows any more. */
export const SEES_NOTHING: Visibility = { sees: () => false };

/** `pg_current_snapshot()` as text, `xmin:xmax:xip,…`. */
export class VisibleTransactions implements Visibility {
  private readonly xmin: bigint;
  private readonly xmax: bigint;
  private readonly open: ReadonlySet<bigint>;

  constructor(text: string) {
    const [xmin = '0', xmax = '0', open = ''] = text.split(':');
    this.xmin = BigInt(xmin);
    this.xmax = BigInt(xmax);
    this.open = new Set(open.split(',').filter(Boolean).map(BigInt));
  }

  sees(xid: number): boolean {
    const full = this.widened(xid);
    return full < this.xmin || (full < this.xmax && !this.open.has(full));
  }

  /** The 64-bit number that `xid` is the lower half of: the one that is nearest to now. */
  private widened(xid: number): bigint {
    const near = ((this.xmax >> 32n) << 32n) | BigInt(xid);
    if (near > this.xmax + 0x8000_0000n) return near - 0x1_0000_0000n;
    return near + 0x8000_0000n < this.xmax ? near + 0x1_0000_0000n : near;
  }
}

/**
 * On a standby a snapshot does not list what is in progress, but commits become visible in the order of the WAL: those
 * before the place that was replayed when the snapshot was about to be taken are certainly seen.
 */
export class ReplayedUntil implements Visibility {
  constructor(private readonly lsn: bigint) {}

  sees(_xid: number, commitLsn: bigint): boolean {
    return commitLsn < this.lsn;
  }
}

/** Looks that are older say nothing about now; two are kept in any case, for there is no rate from one. */
const WINDOW_MS = 120_000;

interface Look {
  readonly lsn: bigint;
  readonly atMs: number;
}

/** How fast a server's WAL has grown lately, from looks at its head. */
export class WalRate {
  private looks: Look[] = [];

  /** @param atMs monotonic */
  note(lsn: bigint, atMs: number): void {
    const last = this.looks.at(-1);
    // A head that went back is another server, or a crash: what was known of the rate belongs to the past.
    if (last !== undefined && lsn < last.lsn) this.looks = [];
    else if (last !== undefined && atMs <= last.atMs) return;
    this.looks.push({ lsn, atMs });
    while (this.looks.length > 2 && this.looks[0]!.atMs < atMs - WINDOW_MS) this.looks.shift();
  }

  /** `null` before there were two looks. */
  get bytesPerSecond(): number | null {
    const [first, last] = [this.looks[0], this.looks.at(-1)];
    if (first === undefined || last === undefined || first === last) return null;
    return (Number(last.lsn - first.lsn) * 1000) / (last.atMs - first.atMs);
  }
}

/** How long changes took from their commit to the log, as the log itself tells it: whole milliseconds. */
export class Waits {
  private readonly changes: { readonly committed: number; readonly took: number }[] = [];
  private snapshotEnd = 0;

  /**
   * @param loggedAt ms: the first half of the entry's id in the log.
   * @param source `source` of the event's data.
   */
  add(loggedAt: number, source: { readonly snapshot: boolean; readonly ts_ms: number }): void {
    if (source.snapshot) this.snapshotEnd = Math.max(this.snapshotEnd, loggedAt);
    else this.changes.push({ committed: source.ts_ms, took: Math.max(0, loggedAt - source.ts_ms) });
  }

  /** Changes that were committed while the snapshot was read had to wait for its end: they stand by themselves. */
  summary(): string {
    const live = this.changes.filter(({ committed }) => committed > this.snapshotEnd);
    const early = this.changes.filter(({ committed }) => committed <= this.snapshotEnd);
    const took = live.map((change) => change.took).sort((a, b) => a - b);
    const at = (part: number) => took[Math.min(took.length - 1, Math.ceil(took.length * part) - 1)];
    const longest = Math.max(0, ...early.map((change) => change.took));
    return (
      (took.length === 0
        ? 'no change after the snapshot'
        : `commit to durable p50 ${at(0.5)} ms, p99 ${at(0.99)} ms over ${took.length.toLocaleString('en-US')} changes`) +
      (early.length === 0 ? '' : ` (${early.length} made during the snapshot waited for it, up to ${longest} ms)`)
    );
  }
}

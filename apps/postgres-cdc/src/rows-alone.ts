import type { ChangeBatch, Clock } from '@planasonix/core';
import { Flow, type FlowDeps } from './flow.js';
import type { ExportedSnapshot } from './opening.js';
import { HeldUp } from './rows/held-up.js';

/** So long nobody may pull (a pause, a full log) before the source need not keep the snapshot any more. */
const UNPULLED_MS = 300_000;

export interface RowsAloneDeps extends Omit<FlowDeps, 'reader' | 'under'> {
  readonly clock: Clock;
  /** One of later. */
  readonly again: () => Promise<ExportedSnapshot>;
}

/**
 * Rows alone are of one moment, which is what their reader wants of them. Where nobody pulls for long the source must not
 * have to keep it: what is left is read under a snapshot of later, as after an interruption.
 */
export async function* rowsAlone(
  { clock, again, ...flow }: RowsAloneDeps,
  first: ExportedSnapshot,
  signal: AbortSignal,
): AsyncGenerator<ChangeBatch> {
  const { feed } = flow.work;
  for (let next: ExportedSnapshot | null = first; next !== null;) {
    const exported: ExportedSnapshot = next;
    const unpulled = new HeldUp(UNPULLED_MS, clock, () => {
      feed.letGo();
      void exported.end();
    });
    try {
      for await (const batch of new Flow({ ...flow, reader: null, under: 'all' }).batches(signal)) {
        unpulled.begin();
        yield batch;
        unpulled.end();
      }
    } finally {
      unpulled.end();
    }
    await exported.end();
    next = signal.aborted || feed.idle || !feed.lettingGo ? null : await again();
    if (next !== null) feed.under(next.snapshot);
  }
}

import { StreamError, type Held, type StreamSpec } from '@planasonix/core';
import type { EngineDeps } from './deps.js';
import { settleFound } from './settler.js';
import { within } from './within.js';

const CLOSE_MS = 500;

export interface BarDeps {
  readonly engine: EngineDeps;
  readonly held: Held;
  readonly mayWrite: () => boolean;
  /** Bars in the store who was barred in the log by this opening of it. @returns `false`: somebody else holds the stream */
  readonly unseat: (session: string) => Promise<boolean>;
  /** Commits of ours that are under way, never rejected: they must not come after what is settled here. */
  readonly committing: Promise<unknown> | null;
}

/**
 * Raises the log's epoch to ours without writing: from here on whoever held the stream before can append nothing, be he
 * frozen or cut off (Invariant 3). What he appended last and did not live to settle is settled then, so that the position
 * that is told is where the stream goes on (Invariant 7); not where the log may lose it yet. `unknown`: the log, or the
 * store, did not say.
 */
export async function barPredecessors(
  { engine, held, mayWrite, unseat, committing }: BarDeps,
  spec: StreamSpec,
  withinMs: number,
): Promise<'barred' | 'fenced' | 'unknown'> {
  const { clock, ledger, log } = engine;
  const sink = engine.openSink(spec);
  const bar = async (): Promise<boolean> => {
    const { positions, session } = await sink.open();
    if (!mayWrite() || !(await unseat(session))) return false;
    await committing;
    return sink.settleDelayMs > 0 || settleFound(positions, { ledger, held, mayWrite });
  };
  try {
    const settled = await within(clock, withinMs, bar());
    return settled === 'late' ? 'unknown' : settled ? 'barred' : 'fenced';
  } catch (error) {
    if (error instanceof StreamError && error.recourse === 'fenced') return 'fenced';
    log.warn({ streamId: spec.id, err: error }, 'a stream could not be ended in the log and in the store');
    return 'unknown';
  } finally {
    await within(clock, CLOSE_MS, sink.close());
  }
}

import { StreamError, type StreamSpec } from '@planasonix/core';
import type { EngineDeps } from './deps.js';
import { within } from './within.js';

const BAR_MS = 2_000;
const CLOSE_MS = 500;

/**
 * Raises the log's epoch to ours without writing: from here on whoever held the stream before can append nothing, be he
 * frozen or cut off (Invariant 3). `unknown`: the log did not say.
 */
export async function barPredecessors(engine: EngineDeps, spec: StreamSpec): Promise<'barred' | 'fenced' | 'unknown'> {
  const { clock, log } = engine;
  const sink = engine.openSink(spec);
  try {
    return (await within(clock, BAR_MS, sink.open())) === 'late' ? 'unknown' : 'barred';
  } catch (error) {
    if (error instanceof StreamError && error.recourse === 'fenced') return 'fenced';
    log.warn({ streamId: spec.id, err: error }, 'the log could not be told that a stream has stopped');
    return 'unknown';
  } finally {
    await within(clock, CLOSE_MS, sink.close());
  }
}

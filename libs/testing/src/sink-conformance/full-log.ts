import type { ChangeBatch, EventLog, OpenedLog, Sink } from '@planasonix/core';
import { eventually } from '../eventually.js';
import { commit, eventOf, numbers } from './events.js';
import type { SinkUnderTest } from './sink-conformance.js';

export interface FullLogContext {
  readonly under: () => SinkUnderTest;
  /** The stream of this test. */
  readonly id: () => string;
  readonly openSink: (
    epoch: number,
    options: { reset?: number },
    of: EventLog,
  ) => Promise<{ sink: Sink; found: OpenedLog }>;
  readonly ids: (of?: EventLog) => Promise<string[]>;
}

const never = new AbortController().signal;

/** "A full log makes `append` wait; `blocked` tells meanwhile." */
export function fullLogConformance({ under, id, openSink, ids }: FullLogContext): void {
  it('waits while it is full, says so, and goes on in order when there is room', async () => {
    const { bounded } = under();
    if (!bounded) return;
    const { log: small, max, makeRoom } = bounded;
    const { sink } = await openSink(1, {}, small);
    await sink.append(commit(1, max), never);
    expect(sink.blocked).toBeNull();
    const waiting: ChangeBatch[] = [
      commit(max + 1, max + 2),
      commit(max + 3, max + 3, { position: null, events: [eventOf(max + 3, { order: null })] }),
      commit(max + 4, max + 4),
    ];
    let landed = 0;
    const all = Promise.all(waiting.map((batch) => sink.append(batch, never).then(() => landed++)));
    await eventually('the sink says that it is full', () => sink.blocked?.reason === 'log_full');
    expect(landed).toBe(0);
    await makeRoom(id());
    await all;
    await eventually('it is full no more', () => sink.blocked === null);
    expect((await ids(small)).slice(-4)).toEqual(numbers(max + 1, max + 4));
  });

  it('ends its waiting for room when it is aborted or fenced', async () => {
    const { bounded } = under();
    if (!bounded) return;
    const { log: small, max } = bounded;
    const { sink } = await openSink(1, {}, small);
    await sink.append(commit(1, max), never);
    const abort = new AbortController();
    const aborted = sink.append(commit(max + 1, max + 1), abort.signal);
    const outcome = expect(aborted).rejects.toThrow('stopped');
    await eventually('full', () => sink.blocked);
    abort.abort(new Error('stopped'));
    await outcome;
    const { sink: second } = await openSink(2, {}, small);
    const fencedOff = second.append(commit(max + 1, max + 1), never);
    const fencing = expect(fencedOff).rejects.toMatchObject({ code: 'fenced' });
    await eventually('full', () => second.blocked);
    await under().log.fence(id(), 3);
    await fencing;
    expect(await ids(small)).toEqual(numbers(1, max));
  });
}

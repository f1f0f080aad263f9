import type { EventLog, OpenedLog, Sink } from '@planasonix/core';
import { becomes } from '../eventually.js';
import { commit, numbers } from './events.js';

export interface PlaceContext {
  readonly log: () => EventLog;
  /** The stream of this test. */
  readonly id: () => string;
  readonly openSink: (epoch: number) => Promise<{ sink: Sink; found: OpenedLog }>;
  readonly ids: () => Promise<string[]>;
}

const never = new AbortController().signal;

/** `place`: what an operator who sets a position by hand relies upon. */
export function placeConformance({ log, id, openSink, ids }: PlaceContext): void {
  it('is placed back: positions are replaced, and what follows is appended again with the same ids (Invariant 4)', async () => {
    const { sink } = await openSink(1);
    await sink.append(commit(1, 5), never);
    await sink.append(commit(1, 2, { partition: 'gone' }), never);
    await log().place(id(), 2, new Map([['', 'at-3']]));
    const { sink: next, found } = await openSink(3);
    expect(Object.fromEntries(found.positions)).toEqual({ '': 'at-3' });
    expect(found.totals.events).toBe(7);
    expect(await next.append(commit(4, 6), never)).toMatchObject({ events: 3, duplicates: 0 });
    expect(await next.append(commit(5, 6), never)).toMatchObject({ events: 0, duplicates: 2 });
    await becomes(async () => (await ids()).slice(-3), numbers(4, 6));
  });

  it('bars whoever wrote before it is placed, also at the same epoch (traps 27, 32)', async () => {
    const { sink: older } = await openSink(1);
    await older.append(commit(1, 2), never);
    await log().place(id(), 2, new Map([['', 'at-1']]));
    await expect(older.append(commit(3, 4), never)).rejects.toMatchObject({ code: 'fenced' });
    const { sink: same } = await openSink(2);
    await log().place(id(), 2, new Map([['', 'at-2']]));
    await expect(same.append(commit(3, 4), never)).rejects.toMatchObject({ code: 'fenced' });
    expect((await openSink(2)).found.positions.get('')).toBe('at-2');
    await becomes(ids, numbers(1, 2));
  });

  it('is not placed below its epoch, and then nothing has changed', async () => {
    const { sink } = await openSink(5);
    await sink.append(commit(1, 3), never);
    await expect(log().place(id(), 4, new Map([['', 'at-1']]))).rejects.toMatchObject({ code: 'fenced' });
    await sink.append(commit(4, 4), never);
    expect((await openSink(5)).found.positions.get('')).toBe('at-4');
  });

  it('is placed at nothing: no position is left', async () => {
    const { sink } = await openSink(1);
    await sink.append(commit(1, 3), never);
    await log().place(id(), 2, new Map());
    expect([...(await openSink(3)).found.positions]).toEqual([]);
    await becomes(ids, numbers(1, 3));
  });
}

import type { EventLog, Seat, Sink } from '@planasonix/core';
import { becomes } from '../eventually.js';
import { commit, eventOf, numbers } from './events.js';

export interface BesideContext {
  readonly log: () => EventLog;
  /** The stream of this test. */
  readonly id: () => string;
  readonly sinkOf: (epoch: number, seat?: Seat) => Sink;
  readonly ids: () => Promise<string[]>;
}

const never = new AbortController().signal;
const fails = (promise: Promise<unknown>) => expect(promise).rejects.toMatchObject({ code: 'fenced' });
/** Events of a partition that nobody else writes. */
const of = (partition: string, first: number, last: number) => ({
  ...commit(first, last, { partition }),
  events: commit(first, last).events.map((event) => ({ ...event, id: `${partition}:${event.id}` })),
});

/** Seats: what workers that share a stream rely upon. */
export function besideConformance({ log, id, sinkOf, ids }: BesideContext): void {
  async function openSink(epoch: number, seat?: Seat) {
    const sink = sinkOf(epoch, seat);
    return { sink, found: await sink.open() };
  }

  it('takes several writers, each of its partitions, and knows the places and totals of all', async () => {
    const { sink: lead, found } = await openSink(3);
    await lead.append(of('a/0', 1, 4), never);
    const { session } = found;
    const { sink: one, found: seen } = await openSink(3, { index: 1, session });
    expect(Object.fromEntries(seen.positions)).toEqual({ 'a/0': 'at-4' });
    const { sink: two } = await openSink(3, { index: 2, session });
    await Promise.all([
      lead.append(of('a/0', 5, 9), never),
      one.append(of('a/1', 1, 3), never),
      two.append(of('a/2', 1, 2), never),
    ]);
    await one.append(of('a/1', 2, 6), never);
    await becomes(async () => (await ids()).length, 17);
    const written = await ids();
    for (const [partition, last] of [
      ['a/0', 9],
      ['a/1', 6],
      ['a/2', 2],
    ] as const)
      // prettier-ignore
      expect(written.filter((one) => one.startsWith(partition))).toEqual(
        numbers(1, last).map((one) => `${partition}:${one}`),
      );
    expect((await log().totals(id())).events).toBe(17);
    const { sink: next, found: all } = await openSink(4);
    expect(Object.fromEntries(all.positions)).toEqual({ 'a/0': 'at-9', 'a/1': 'at-6', 'a/2': 'at-2' });
    expect(all.totals.events).toBe(17);
    expect(await next.append(of('a/1', 5, 8), never)).toMatchObject({ events: 2, duplicates: 2 });
    expect((await openSink(4)).found.totals.events).toBe(19);
  });

  it('bars those who write beside when the writer opens anew, also at the same epoch (traps 27, 32)', async () => {
    const { sink: before, found } = await openSink(1);
    await before.append(of('a/0', 1, 2), never);
    const seat = { index: 1, session: found.session };
    const { sink: beside } = await openSink(1, seat);
    await beside.append(of('a/1', 1, 2), never);
    const { sink: after, found: again } = await openSink(1);
    const late = [beside.append(of('a/1', 3, 4), never), beside.append(of('a/1', 5, 6), never)];
    for (const one of late) await fails(one);
    // Late itself, or too early for the next: it names an opening that is over.
    await fails(sinkOf(1, seat).open());
    await after.append(of('a/1', 3, 3), never);
    const { sink: next, found: seen } = await openSink(1, { index: 1, session: again.session });
    expect(seen.positions.get('a/1')).toBe('at-3');
    expect(await next.append(of('a/1', 2, 5), never)).toMatchObject({ events: 2, duplicates: 2 });
    expect((await openSink(1)).found.totals.events).toBe(7);
    await becomes(
      async () => (await ids()).filter((one) => one.startsWith('a/1')),
      numbers(1, 5).map((one) => `a/1:${one}`),
    );
  });

  it('bars those who write beside by a fence, a higher epoch, a place and an end (traps 27, 32)', async () => {
    const bars: readonly ((epoch: number) => Promise<unknown>)[] = [
      (epoch) => log().fence(id(), epoch),
      (epoch) => openSink(epoch),
      (epoch) => log().place(id(), epoch, new Map([['a/1', 'at-1']])),
      (epoch) => log().expire(id(), 86_400, epoch),
    ];
    for (const [i, bar] of bars.entries()) {
      const epoch = 10 * (i + 1);
      const { found } = await openSink(epoch);
      const seat = { index: 1, session: found.session };
      const { sink: beside } = await openSink(epoch, seat);
      await beside.append({ partition: `b/${i}`, events: [eventOf(1)], position: 'at-1' }, never);
      await bar(epoch + 1);
      await fails(beside.append({ partition: `b/${i}`, events: [eventOf(2)], position: 'at-2' }, never));
      await fails(sinkOf(epoch, seat).open());
    }
    expect((await log().totals(id())).events).toBe(bars.length);
  });

  it('bars those who write beside by a place of their own epoch (trap 27)', async () => {
    const { found } = await openSink(2);
    const seat = { index: 1, session: found.session };
    const { sink: beside } = await openSink(2, seat);
    await beside.append(of('a/1', 1, 2), never);
    await log().place(id(), 2, new Map([['a/1', 'at-1']]));
    await fails(beside.append(of('a/1', 3, 4), never));
    await fails(sinkOf(2, seat).open());
    expect((await openSink(3)).found.positions.get('a/1')).toBe('at-1');
  });

  it('bars the earlier one of an index by the later one, and nobody else', async () => {
    const { sink: lead, found } = await openSink(1);
    const seat = { index: 1, session: found.session };
    const { sink: earlier } = await openSink(1, seat);
    await earlier.append(of('a/1', 1, 2), never);
    const { sink: later } = await openSink(1, seat);
    await fails(earlier.append(of('a/1', 3, 4), never));
    expect(await later.append(of('a/1', 2, 4), never)).toMatchObject({ events: 2, duplicates: 1 });
    await lead.append(of('a/0', 1, 1), never);
    expect((await openSink(1)).found.totals.events).toBe(5);
    await becomes(async () => (await ids()).length, 5);
  });
}

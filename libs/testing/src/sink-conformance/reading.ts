import { BEGINNING, type EventLog, type OpenedLog, type Sink } from '@planasonix/core';
import { eventually } from '../eventually.js';
import { commit, numbers } from './events.js';

export interface ReadingContext {
  readonly log: () => EventLog;
  /** The stream of this test. */
  readonly id: () => string;
  readonly openSink: (epoch: number) => Promise<{ sink: Sink; found: OpenedLog }>;
  readonly sinkOf: (epoch: number) => Sink;
}

const never = new AbortController().signal;
const fails = (promise: Promise<unknown>, code: string) => expect(promise).rejects.toMatchObject({ code });

/** What readers see, and until when there is something to be read. */
export function readingConformance({ log, id, openSink, sinkOf }: ReadingContext): void {
  it('reads the newest, and what follows a cursor or the beginning', async () => {
    const { sink } = await openSink(1);
    await sink.append(commit(1, 10), never);
    const newest = await log().read(id(), { limit: 3 });
    expect(newest.map((entry) => entry.id)).toEqual(numbers(8, 10));
    const first = (await log().read(id(), { limit: 10 }))[0]!;
    expect((await log().read(id(), { limit: 4, after: first.cursor })).map((entry) => entry.id)).toEqual(numbers(2, 5));
    expect((await log().read(id(), { limit: 4, after: BEGINNING })).map((entry) => entry.id)).toEqual(numbers(1, 4));
    expect(await log().read(id(), { limit: 4, after: newest.at(-1)!.cursor })).toEqual([]);
    await fails(log().read(id(), { limit: 4, after: 'nonsense' }), 'config_invalid');
  });

  it('tails from now, from a cursor and from the beginning, until it is told to end', async () => {
    const { sink } = await openSink(1);
    await sink.append(commit(1, 3), never);
    const first = (await log().read(id(), { limit: 3 }))[0]!;
    const ended = new AbortController();
    const seen = { now: [] as string[], after: [] as string[], all: [] as string[] };
    let places = 0;
    const follow = async (into: string[], after: string | null) => {
      for await (const entry of log().tail(id(), after, ended.signal, () => void places++)) into.push(entry.id);
    };
    const tails = Promise.all([follow(seen.now, null), follow(seen.after, first.cursor), follow(seen.all, BEGINNING)]);
    await eventually('the tail from a cursor', () => seen.after.length === 2);
    await eventually('all have their place', () => places === 3);
    await sink.append(commit(4, 6), never);
    await eventually('the tail from now', () => seen.now.length >= 3 && seen.after.length >= 5 && seen.all.length >= 6);
    ended.abort();
    await tails;
    expect(seen).toEqual({ now: numbers(4, 6), after: numbers(2, 6), all: numbers(1, 6) });
  });

  it('is gone at once when it expires now, and bars old writers still', async () => {
    const { sink } = await openSink(1);
    await sink.append(commit(1, 3), never);
    await log().expire(id(), 0, 2);
    expect(await log().read(id(), { limit: 9 })).toEqual([]);
    await fails(sinkOf(1).open(), 'fenced');
  });

  it('stays readable when it expires later', async () => {
    const { sink } = await openSink(1);
    await sink.append(commit(1, 3), never);
    await log().expire(id(), 86_400, 2);
    expect(await log().depth(id())).toBe(3);
  });

  it.each([0, 86_400])(
    'bars whoever was under way when it was made to expire (%i s), also where it had nothing',
    async (seconds) => {
      await log().expire(id(), seconds, 7);
      await fails(log().place(id(), 6, new Map([['', 'c-3']])), 'fenced');
      await fails(sinkOf(6).open(), 'fenced');
    },
  );
}

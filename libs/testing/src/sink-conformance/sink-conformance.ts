import { StreamError, type EventLog, type LogEntry, type Seat, type Sink } from '@planasonix/core';
import { becomes } from '../eventually.js';
import { besideConformance } from './beside.js';
import { commit, eventOf, numbers } from './events.js';
import { fullLogConformance } from './full-log.js';
import { placeConformance } from './place.js';
import { readingConformance } from './reading.js';

/** What a kind of log brings to be held against the contract in `core/sink.ts`. */
export interface SinkUnderTest {
  /** The control plane's end; made once. */
  readonly log: EventLog;
  /** A log whose streams take no more than `max` entries, and how a reader makes room in it. Absent: it is never full. */
  readonly bounded?: {
    readonly log: EventLog;
    readonly max: number;
    readonly makeRoom: (streamId: string) => Promise<void>;
  };
  stop(): Promise<void>;
}

const never = new AbortController().signal;
let streams = 0;

/** The contract of `Sink` and `EventLog`, sentence by sentence. Every kind of log passes it. */
export function sinkConformance(name: string, start: () => Promise<SinkUnderTest>): void {
  describe(`${name}: the contract of a log`, () => {
    let under: SinkUnderTest;
    let log: EventLog;
    let id: string;
    let opened: Sink[] = [];

    beforeAll(async () => {
      under = await start();
      log = under.log;
    }, 120_000);
    afterAll(() => under?.stop(), 60_000);
    beforeEach(() => (id = `str_conformance${process.pid}x${++streams}`));
    afterEach(async () => {
      for (const sink of opened) await sink.close();
      opened = [];
    });

    function sinkOf(epoch: number, of: EventLog = log, seat?: Seat): Sink {
      const sink = of.sink(id, epoch, seat);
      opened.push(sink);
      return sink;
    }
    async function openSink(epoch: number, options?: { reset?: number }, of: EventLog = log) {
      const sink = sinkOf(epoch, of);
      return { sink, found: await sink.open(options) };
    }
    const everything = (of: EventLog = log): Promise<readonly LogEntry[]> => of.read(id, { limit: 100_000 });
    const ids = async (of: EventLog = log) => (await everything(of)).map((entry) => entry.id);
    const fails = (promise: Promise<unknown>, code: string) => expect(promise).rejects.toMatchObject({ code });

    it('begins empty: no positions, no totals, no entries', async () => {
      const { found } = await openSink(1);
      expect([...found.positions]).toEqual([]);
      expect(found.totals).toEqual({ events: 0, bytes: 0 });
      expect(await everything()).toEqual([]);
      expect(await log.depth(id)).toBe(0);
    });

    it('keeps every field as it was given, whatever the characters', async () => {
      const { sink } = await openSink(1);
      const odd = {
        partitionkey: '{"name":"Zoë \u{1f600} \\u0000\\r\\n"}',
        subject: 'public."Große Tabelle"',
        data: Buffer.from('{"t":"\u{1f600}\\n","n":12345678901234567890.0001000}'),
      };
      const long = {
        partitionkey: 'k'.repeat(5_000),
        subject: 's'.repeat(200),
        data: Buffer.from(`{"x":"${'ä'.repeat(200_000)}"}`),
      };
      await sink.append(
        { partition: '', events: [eventOf(1, odd), eventOf(2, { partitionkey: '' }), eventOf(3, long)], position: 'p' },
        never,
      );
      const [first, second, third] = await everything();
      const { cursor: _, ...fields } = first!;
      expect(fields).toEqual({
        id: 'e-1',
        type: 'com.planasonix.row.insert',
        source: `/streams/${id}`,
        subject: odd.subject,
        time: eventOf(1).time,
        partitionkey: odd.partitionkey,
        data: odd.data.toString(),
      });
      expect(second).toMatchObject({ id: 'e-2', partitionkey: '' });
      expect(third).toMatchObject({
        partitionkey: long.partitionkey,
        subject: long.subject,
        data: long.data.toString(),
      });
    });

    it('lands batches in call order while earlier ones are under way, and resolves in that order', async () => {
      const { sink } = await openSink(1);
      const resolved: number[] = [];
      await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          sink.append(commit(i * 10 + 1, i * 10 + 10), never).then(() => resolved.push(i)),
        ),
      );
      expect(resolved).toEqual(Array.from({ length: 20 }, (_, i) => i));
      await becomes(ids, numbers(1, 200));
    });

    it('takes kinds of events in one batch, in their order', async () => {
      const { sink } = await openSink(1);
      const mixed = [
        eventOf(1),
        eventOf(2, { type: 'com.planasonix.row.update' }),
        eventOf(3),
        eventOf(4, { subject: 'public.items' }),
        eventOf(5, { subject: 'public.items' }),
      ];
      await sink.append({ partition: '', events: mixed, position: null }, never);
      expect((await everything()).map(({ id: event, type, subject }) => [event, type, subject])).toEqual(
        mixed.map((event) => [event.id, event.type, event.subject]),
      );
    });

    it('takes a batch of 5,000 events', async () => {
      const { sink } = await openSink(1);
      expect(await sink.append(commit(1, 5_000), never)).toMatchObject({ events: 5_000, duplicates: 0 });
      expect(await log.depth(id)).toBe(5_000);
    });

    it('stores the position with the events, and gives both back when it is opened again', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 3), never);
      await sink.append(commit(4, 6, { position: null }), never);
      await sink.append({ partition: 'orders/1', events: [], position: 'elsewhere' }, never);
      const { found } = await openSink(2);
      expect(Object.fromEntries(found.positions)).toEqual({ '': 'at-3', 'orders/1': 'elsewhere' });
      // What the position is not behind is there, too.
      expect([...found.orders]).toEqual([['', eventOf(6).order]]);
      expect(found.totals).toEqual({
        events: 6,
        bytes: commit(1, 6).events.reduce((sum, event) => sum + event.data.length, 0),
      });
      expect(await log.totals(id)).toEqual(found.totals);
    });

    it('drops what it holds already and counts it, within a batch, between batches and after a restart (trap 5)', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 3), never);
      expect(await sink.append(commit(2, 5), never)).toMatchObject({ events: 2, duplicates: 2, totals: { events: 5 } });
      expect(
        await sink.append({ partition: '', events: [eventOf(6), eventOf(6), eventOf(4)], position: 'at-6' }, never),
      ).toMatchObject({ events: 1, duplicates: 2 });
      const { sink: next } = await openSink(2);
      expect(await next.append(commit(1, 6), never)).toMatchObject({ events: 0, duplicates: 6, totals: { events: 6 } });
      expect(await next.append(commit(5, 8), never)).toMatchObject({ events: 2, duplicates: 2, totals: { events: 8 } });
      await becomes(ids, numbers(1, 8));
    });

    it('does not take the position back for a batch that it holds already', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 5), never);
      await sink.append(commit(1, 3), never);
      expect((await openSink(2)).found.positions.get('')).toBe('at-5');
    });

    it('knows orders by partition', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 5, { partition: 'a' }), never);
      expect(await sink.append(commit(1, 5, { partition: 'b' }), never)).toMatchObject({ events: 5, duplicates: 0 });
    });

    it('always appends what has no order: rows of a snapshot', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 5), never);
      const row = eventOf(9, { order: null });
      expect(await sink.append({ partition: '', events: [row, row], position: null }, never)).toMatchObject({
        events: 2,
        duplicates: 0,
      });
    });

    it('forgets positions and orders on reset, and keeps events', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 3), never);
      const { sink: next, found } = await openSink(2, { reset: 7 });
      expect([...found.positions]).toEqual([]);
      expect(found.totals.events).toBe(3);
      expect(await next.append(commit(1, 2), never)).toMatchObject({ events: 2, totals: { events: 5 } });
      await becomes(ids, [...numbers(1, 3), ...numbers(1, 2)]);
    });

    it('is reset once for each decision: the place that it led to stays (Invariant 2)', async () => {
      const { sink } = await openSink(1);
      await sink.append(commit(1, 9), never);
      const resetBy = async (epoch: number, reset: number) => {
        const { sink: next, found } = await openSink(epoch, { reset });
        return { next, positions: Object.fromEntries(found.positions) };
      };
      // Nothing was stored since: it is made again.
      for (const epoch of [2, 3]) {
        const { next, positions } = await resetBy(epoch, 7);
        expect(positions).toEqual({});
        await next.append(commit(1, 2, { position: null }), never);
        // A note about the source is no place in it.
        await next.append({ partition: '#notes', events: [], position: 'noted' }, never);
      }
      const { next } = await resetBy(3, 7);
      await next.append(commit(1, 3), never);
      const again = await resetBy(4, 7);
      expect(again.positions).toEqual({ '': 'at-3' });
      expect(await again.next.append(commit(2, 4), never)).toMatchObject({ events: 1, duplicates: 2 });
      expect((await openSink(4)).found.positions.get('')).toBe('at-4');
      const { found } = await openSink(4, { reset: 8 });
      expect([...found.positions.keys(), ...found.orders.keys()]).toEqual([]);
    });

    it('refuses to open below its epoch, and opens again at the same (trap 32)', async () => {
      await openSink(5);
      await fails(sinkOf(4).open(), 'fenced');
      await openSink(5);
      await openSink(6);
    });

    it('bars a writer once a later one has opened: fenced, and nothing written (traps 27, 32)', async () => {
      const { sink: zombie } = await openSink(1);
      await zombie.append(commit(1, 3), never);
      const { sink: owner } = await openSink(2);
      const late = [zombie.append(commit(4, 6), never), zombie.append(commit(7, 9), never)];
      for (const one of late) await fails(one, 'fenced');
      await owner.append(commit(4, 5), never);
      await becomes(ids, numbers(1, 5));
      expect((await openSink(2)).found.positions.get('')).toBe('at-5');
    });

    it('bars a writer by a fence alone, also one that has not opened yet (trap 32)', async () => {
      const { sink } = await openSink(3);
      await log.fence(id, 4);
      await log.fence(id, 2); // never lowers it
      await fails(sink.append(commit(1, 1), never), 'fenced');
      await fails(sinkOf(3).open(), 'fenced');
      const { sink: next } = await openSink(4);
      await next.append(commit(1, 1), never);
      await becomes(ids, ['e-1']);
    });

    it('bars an older session of the same epoch: what was under way writes nothing after the new one has opened', async () => {
      const { sink: before } = await openSink(1);
      await before.append(commit(1, 2), never);
      const { sink: after } = await openSink(1);
      await expect(before.append(commit(3, 4), never)).rejects.toBeInstanceOf(StreamError);
      await after.append(commit(3, 5), never);
      await becomes(ids, numbers(1, 5));
    });

    it('rejects every append after one that was rejected', async () => {
      const { sink } = await openSink(1);
      await log.fence(id, 2);
      const results = await Promise.allSettled([sink.append(commit(1, 1), never), sink.append(commit(2, 2), never)]);
      expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected']);
      await expect(sink.append(commit(3, 3), never)).rejects.toMatchObject({ code: 'fenced' });
    });

    it('rejects what is given an aborted signal, or a closed sink', async () => {
      const { sink } = await openSink(1);
      const abort = new AbortController();
      abort.abort(new Error('enough'));
      await expect(sink.append(commit(1, 1), abort.signal)).rejects.toThrow('enough');
      const { sink: closed } = await openSink(1);
      await closed.close();
      await closed.close();
      await fails(closed.append(commit(1, 1), never), 'log_unavailable');
      expect(await everything()).toEqual([]);
    });

    it('gives back one sequence, without gap or double, whatever is delivered again and whoever writes', async () => {
      let seed = 7;
      const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
      let epoch = 1;
      let { sink, found } = await openSink(epoch);
      const zombies: Sink[] = [];
      for (let round = 0; round < 25; round++) {
        // A source goes on from the log's position, or from before it.
        let from = Math.max(1, Number(found.positions.get('')?.slice(3) ?? 0) + 1 - random(8));
        const pending: Promise<unknown>[] = [];
        for (let n = 0; n < 1 + random(6); n++) {
          const to = from + random(12);
          pending.push(sink.append(commit(from, to, random(4) === 0 ? { position: null } : {}), never));
          from = to + 1;
        }
        if (random(3) > 0) await Promise.all(pending);
        else for (const one of pending) one.catch(() => undefined);
        for (const zombie of zombies) void zombie.append(commit(9_000, 9_010), never).catch(() => undefined);
        zombies.push(sink);
        ({ sink, found } = await openSink(random(2) ? ++epoch : epoch));
      }
      const { events } = await log.totals(id);
      await becomes(ids, numbers(1, events));
    });

    fullLogConformance({ under: () => under, id: () => id, openSink, ids });
    placeConformance({ log: () => log, id: () => id, openSink, ids });
    readingConformance({ log: () => log, id: () => id, openSink, sinkOf: (epoch) => sinkOf(epoch) });
    besideConformance({ log: () => log, id: () => id, sinkOf: (epoch, seat) => sinkOf(epoch, log, seat), ids });
  });
}

import { systemClock, type Clock } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { RowDataPacket } from 'mysql2/promise';
import { LEGS } from '../trial/legs.js';
import type { TrialStream } from '../trial/trial-stream.js';
import { fill, heldAt, MARKS, serverUnderTest, settle } from './server-under-test.js';

jest.setTimeout(120_000);

/** Of whoever looks once a second nobody comes to look: what is seen by this clock, he was told. */
function unlooked(): { readonly clock: Clock; readonly waiting: () => number } {
  let waiting = 0;
  const sleep: Clock['sleep'] = async (ms, signal) => {
    if (ms !== 1_000) return systemClock.sleep(ms, signal);
    waiting++;
    return systemClock.sleep(3_600_000, signal).finally(() => waiting--);
  };
  return { clock: { ...systemClock, sleep }, waiting: () => waiting };
}
const KEYLESS = 9_000;

describe.each(LEGS)('orders that are taken back, on $name', (leg) => {
  const one = serverUnderTest(leg);

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE o; CREATE TABLE o.big (id INT PRIMARY KEY, v VARCHAR(2000));
      CREATE TABLE o.u (id INT PRIMARY KEY, v INT); INSERT INTO o.u VALUES (1, 1), (2, 2); CREATE TABLE o.heap (a INT, b VARCHAR(20))`);
    await fill(one.db, 'o.big', 20_000, (n) => `${n}, REPEAT('f', 2000)`);
    await fill(one.db, 'o.heap', KEYLESS, (n) => `${n % 100}, 'r${n}'`);
  });

  const CONFIG = { tables: ['o.*', 'm.marks'], snapshot: 'never', snapshot_readers: 1 };
  const rows = (stream: TrialStream, subject: string): number =>
    stream.events.filter((event) => event.subject === subject).length;
  const state = (stream: TrialStream, order: string): unknown =>
    stream.progress()?.tables?.find((table) => table.order === order)?.state;
  const readers = async (): Promise<number> => {
    const [found] = await one.db.query<RowDataPacket[]>('SHOW PROCESSLIST');
    return found.filter(({ Info: info }) => /^SELECT .*`big`/s.test(String(info))).length;
  };

  /** At the first rows of the order nobody takes anything any more, until `goOn`. */
  async function paused() {
    const stream = one.stream(CONFIG);
    const { clock, waiting } = unlooked();
    stream.clock = clock;
    const [halted, goOn] = heldAt(() => rows(stream, 'o.big') > 0);
    stream.start(null, halted);
    await stream.begun();
    await settle(stream, one.db);
    stream.order('snap_big', ['o.big']);
    // One waits for the end of its chunk, and one for room.
    await eventually('its reader is held up', async () => waiting() === 2 && (await readers()) === 1);
    return { stream, goOn };
  }

  it('while the stream is paused, are given up then, with what the server does for them; the next one is read', async () => {
    const { stream, goOn } = await paused();
    stream.cancelOrder('snap_big');
    await eventually('it is given up', () => state(stream, 'snap_big') === 'cancelled');
    await eventually('nobody reads of it', async () => (await readers()) === 0);
    stream.order('snap_u', ['o.u']);
    goOn();
    expect(await stream.ended('snap_u')).toBeNull();
  });

  it('say nothing more when that goes on, also before the store has said what was taken back', async () => {
    const { stream, goOn } = await paused();
    let answer = (): void => undefined;
    stream.storeAnswers = new Promise((resolve) => (answer = resolve));
    stream.cancelOrder('snap_big');
    const before = rows(stream, 'o.big');
    goOn();
    await settle(stream, one.db);
    expect([await readers(), state(stream, 'snap_big')]).toEqual([1, 'running']);
    // At the most the batch that it was paused at.
    const then = rows(stream, 'o.big');
    expect(then - before).toBeLessThanOrEqual(stream.largest);
    answer();
    await eventually('nobody reads of it', async () => (await readers()) === 0);
    await settle(stream, one.db);
    expect([rows(stream, 'o.big'), state(stream, 'snap_big')]).toEqual([then, 'cancelled']);
  });

  it('while the source is asked of them, are not begun', async () => {
    const stream = one.stream(CONFIG);
    stream.start();
    await stream.begun();
    await settle(stream, one.db);
    const other = await one.session();
    await other.query('LOCK TABLES o.u WRITE');
    stream.order('snap_asked', ['o.u'], 'v = 1');
    const waits = async (): Promise<boolean> => {
      const [found] = await one.db.query<RowDataPacket[]>('SHOW PROCESSLIST');
      return found.some(({ Info: info }) => String(info).startsWith('EXPLAIN'));
    };
    await eventually('its condition is judged', waits);
    let answer = (): void => undefined;
    stream.storeAnswers = new Promise((resolve) => (answer = resolve));
    const { asked } = stream;
    stream.cancelOrder('snap_asked');
    await other.query('UNLOCK TABLES');
    await eventually('the store is asked again', () => stream.asked > asked);
    expect(state(stream, 'snap_asked')).toBeUndefined();
    answer();
    await settle(stream, one.db);
    expect(state(stream, 'snap_asked')).toBeUndefined();
  });

  describe('of a table without a key, once readers were told to forget it (Invariant 2)', () => {
    const PACED = { ...CONFIG, snapshot_max_rows_per_second: 4_000 };
    const notes = (stream: TrialStream): (string | null | undefined)[] =>
      (stream.progress()?.tables ?? []).flatMap(({ table, note }) => (table === 'o.heap' ? [note] : []));
    const why = [expect.stringContaining('was taken back')];

    /** What a reader of the log has of it, against the table. */
    async function expectWhole(stream: TrialStream): Promise<void> {
      const since = stream.events.map(({ subject, data }) => [subject, data.toString()] as const);
      const ops = since.flatMap(([subject, text]) => (subject === 'o.heap' ? [/"op":"(.)"/.exec(text)![1]] : []));
      expect(ops.slice(ops.lastIndexOf('t') + 1).join('')).toBe('r'.repeat(KEYLESS));
      await settle(stream, one.db);
    }

    it('are read to the end all the same, and say why', async () => {
      const stream = one.stream(PACED);
      stream.start();
      await stream.begun();
      stream.order('snap_heap', ['o.heap']);
      await eventually('half of it is in the log', () => rows(stream, 'o.heap') > KEYLESS / 4);
      stream.cancelOrder('snap_heap');
      await eventually('it says why it goes on', () => notes(stream).some((note) => note?.includes('was taken back')));
      expect(notes(stream)).toEqual(why);
      await eventually('it is read', () => state(stream, 'snap_heap') === 'done');
      await expectWhole(stream);
    });

    it('also where that was between two workers', async () => {
      const stream = one.stream(PACED);
      stream.order('snap_heap', ['o.heap']);
      stream.start(null, () => {
        if (rows(stream, 'o.heap') > KEYLESS / 4) throw new Error('killed');
      });
      expect(String(await stream.outcome())).toContain('killed');
      stream.cancelOrder('snap_heap');
      stream.start();
      await eventually('it says why it goes on', () => notes(stream).some((note) => note?.includes('was taken back')));
      await eventually('it is read', () => state(stream, 'snap_heap') === 'done');
      await expectWhole(stream);
      await stream.stop();
      const before = stream.events.length;
      stream.start();
      await settle(stream, one.db);
      // Nothing of it is left to be read.
      expect(stream.events.slice(before).map(({ subject }) => subject)).toEqual(['m.marks']);
    });
  });
});

import { systemClock, type Sink, type StreamError } from '@planasonix/core';
import { commit, eventually, startKafka, type Kafka } from '@planasonix/testing';
import { TransactionalProducer } from '@planasonix/kafka';
import { Journal } from './journal.js';
import { committedIds, Logs } from './logs-under-test.js';
import { StreamWriter } from './writer.js';

const never = new AbortController().signal;
let streams = 0;

describe('several writers of one stream in Kafka', () => {
  let kafka: Kafka;
  let logs: Logs;
  let id: string;
  beforeAll(async () => {
    kafka = await startKafka();
    logs = new Logs(kafka.brokers);
  });
  beforeEach(() => (id = `str_beside${process.pid}x${++streams}`));
  afterEach(() => logs.close());
  afterAll(() => kafka.stop());

  it('is not held up by one who died in the middle of a transaction beside its writer, and keeps nothing of it', async () => {
    const log = logs.open();
    const found = await logs.sink(log, id, 1).open();
    const seat = { index: 1, session: found.session };
    const reached = await logs.reach();
    const writer = new StreamWriter({
      streamId: id,
      epoch: 1,
      seat,
      output: logs.output(),
      reached,
      clock: systemClock,
    });
    const { totals } = await writer.enter('refuse');
    // Written, and not committed: whoever reads committed records alone stops here until it is decided.
    const marks = new Map([['t/1', { position: 'lost', order: '1' }]]);
    await writer.write([], { totals: { events: totals.events + 5, bytes: 50 }, marks });
    const sink = logs.sink(log, id, 1);
    const after = await sink.open();
    expect([after.totals.events, after.positions.get('t/1')]).toEqual([0, undefined]);
    await sink.append(commit(1, 2), never);
    const failure = await writer.commit().then(
      () => null,
      (error: unknown) => writer.explain(error),
    );
    expect(failure).toMatchObject({ code: 'fenced' });
    expect((await log.totals(id)).events).toBe(2);
    writer.close();
  });

  it('is not held up by one who died while it entered, before anybody could know of it (trap 25a)', async () => {
    const log = logs.open();
    const { session } = await logs.sink(log, id, 1).open();
    const of = { streamId: id, epoch: 1, output: logs.output(), reached: await logs.reach(), clock: systemClock };
    const writer = new StreamWriter({ ...of, seat: { index: 1, session } });
    const written = new Promise<void>((resolve) =>
      jest.spyOn(TransactionalProducer.prototype, 'commit').mockImplementationOnce(() => {
        resolve();
        return new Promise(() => undefined);
      }),
    );
    void writer.enter('refuse');
    await written;
    writer.close();
    const sink = logs.sink(log, id, 2);
    expect((await sink.open()).totals.events).toBe(0);
    expect((await sink.append(commit(1, 2), never)).events).toBe(2);
  });

  it('knows what is about to be decided: readers see a commit some time after it was answered', async () => {
    const log = logs.open();
    const { session } = await logs.sink(log, id, 1).open();
    const of = { streamId: id, epoch: 1, output: logs.output(), reached: await logs.reach(), clock: systemClock };
    const lead = new StreamWriter({ ...of, seat: null });
    await lead.enter('refuse');
    await lead.write([], {
      totals: { events: 7, bytes: 70 },
      marks: new Map([['t/0', { position: 'at', order: '1' }]]),
    });
    const journal = new Journal(id, of.reached, systemClock, 1);
    // It hangs: what was decided before is told.
    expect((await journal.read(never))!.totals.events).toBe(0);
    const looks = [
      journal.read(never),
      log.totals(id),
      logs.sink(log, id, 1, { index: 1, session: lead.session }).open(),
    ];
    const asked = jest.spyOn(of.reached.cluster, 'offsets');
    await eventually('the journal is read', () => asked.mock.calls.length > 0);
    await lead.commit();
    const [read, totals, entered] = await Promise.all(looks);
    expect([read, totals, entered]).toMatchObject([
      { totals: { events: 7 } },
      { events: 7 },
      { totals: { events: 7 } },
    ]);
    expect(lead.session).not.toBe(session);
    lead.close();
  });

  it('takes nothing from one who enters while the writer opens anew, or the writer knows of it (trap 25a)', async () => {
    const log = logs.open();
    /** One event at a time, from `first` on, until it is barred. @returns the last that it was told is durable */
    async function writing(sink: Sink, first: number): Promise<number> {
      let last = first - 1;
      try {
        for (await sink.open(); ; last++) await sink.append(commit(last + 1, last + 1, { partition: 't/1' }), never);
      } catch (error) {
        // A coordinator that is asked by both at once sometimes says no more than that it failed.
        expect((error as StreamError).code).toMatch(/^(fenced|log_unavailable)$/);
        return last;
      }
    }
    let known = 0;
    let { session } = await logs.sink(log, id, 1).open();
    for (let round = 0; round < 16; round++) {
      const seat = { index: 1, session };
      // Another one of this index was there before: it is known, and may be barred already.
      if (round % 2 === 1) await logs.sink(log, id, 1, seat).open();
      const told = writing(logs.sink(log, id, 1, seat), known + 1);
      await new Promise((resolve) => setTimeout(resolve, round * 5));
      const opened = await logs.sink(log, id, 1).open();
      known = Number(opened.positions.get('t/1')?.slice(3) ?? 0);
      expect(await told).toBeLessThanOrEqual(known);
      ({ session } = opened);
    }
    const { totals, positions } = await logs.sink(log, id, 2).open();
    expect([totals.events, positions.get('t/1')]).toEqual([known, `at-${known}`]);
    const ids = await committedIds(kafka.brokers, `log.${id}`);
    expect(ids).toEqual(Array.from({ length: known }, (_, i) => `e-${i + 1}`));
  });
});

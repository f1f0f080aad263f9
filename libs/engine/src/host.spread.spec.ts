import { type Held, isIn, StreamError } from '@planasonix/core';
import { ID, spreadWorld } from './fakes/index.js';

/** Long enough for a worker to come and to be given a share. */
const SPREADS_MS = 12_000;

async function spreadOverTwo() {
  const world = spreadWorld(4);
  const row = world.ledger.add(ID);
  const hosts = [world.worker('w1')];
  await world.clock.advance(1_500);
  hosts.push(world.worker('w2'));
  await world.clock.advance(SPREADS_MS);
  expect(Object.fromEntries(world.topic.readers)).toEqual({ w1: { index: 0, of: 2 }, w2: { index: 1, of: 2 } });
  return { ...world, row, hosts };
}

describe('a stream that several workers read', () => {
  it('is read by one alone, and by a second one as soon as it is there; each event once, all positions, one report', async () => {
    const { clock, topic, log, ledger, row, last } = await spreadOverTwo();
    topic.put(50);
    await clock.advance(3_000);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
    expect(Object.fromEntries(row.positions)).toMatchObject({ 't/0': '50', 't/1': '50', 't/2': '50', 't/3': '50' });
    expect(row.status).toBe('running');
    expect(last.report).toMatchObject({ epoch: 1, total_events: 200, backlog_records: 4, errors: 0 });
    expect(last.report!.latency.reduce((sum, [, count]) => sum + count, 0)).toBe(200);
    expect(ledger.row(ID).history).toEqual(['running']);
  });

  it('leaves the positions of other shares to those who read them', async () => {
    const { clock, topic, ledger, worker } = spreadWorld(4);
    const row = ledger.add(ID);
    worker('w1');
    await clock.advance(1_000);
    topic.put(20);
    await clock.advance(1_000);
    const commit = jest.spyOn(ledger, 'commitPositions');
    worker('w2');
    await clock.advance(SPREADS_MS);
    topic.put(20);
    await clock.advance(1_000);
    expect(Object.fromEntries(row.positions)).toMatchObject({ 't/0': '40', 't/1': '40', 't/2': '40', 't/3': '40' });
    const strange = commit.mock.calls.flatMap(([{ seat }, positions]) =>
      [...positions.keys()].filter(
        (partition) => !partition.startsWith('#') && !isIn({ index: seat?.index ?? 0, of: 2 }, partition),
      ),
    );
    expect(strange).toEqual([]);
  });

  it('has one reader per partition when there are as many workers, and none beyond', async () => {
    const { clock, topic, ledger, log, worker } = spreadWorld(2);
    ledger.add(ID);
    for (const id of ['w1', 'w2', 'w3']) worker(id);
    await clock.advance(SPREADS_MS);
    expect([...topic.readers.values()].map(({ of }) => of)).toEqual([2, 2]);
    topic.put(7);
    await clock.advance(1_000);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
  });

  it('goes on within 15 s without a helper that is cut off, and takes nothing from it when it is back (traps 23, 27)', async () => {
    const { clock, topic, log, spread } = await spreadOverTwo();
    spread.cutOff.add('w2');
    topic.put(10);
    await clock.advance(100);
    expect(log.ids).toHaveLength(40);
    await clock.advance(9_500);
    topic.put(10);
    await clock.advance(3_000);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
    spread.cutOff.clear();
    await clock.advance(SPREADS_MS);
    expect(topic.readers.get('w2')).toEqual({ index: 1, of: 2 });
    topic.put(10);
    await clock.advance(1_000);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
  });

  it('goes on when a helper finds itself barred and nobody tells it why', async () => {
    const { clock, topic, log } = await spreadOverTwo();
    log.besides.clear();
    topic.put(10);
    await clock.advance(8_000);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
    expect([...topic.readers.keys()]).toEqual(['w1']);
  });

  it('tells where it goes on once it is stopped, or in error, also of what a helper did not live to settle (Invariant 7)', async () => {
    for (const ends of ['stopped', 'error'] as const) {
      const { clock, topic, log, ledger, row } = await spreadOverTwo();
      topic.put(10);
      await clock.advance(20);
      if (ends === 'stopped') ledger.command(ID, 'stopped');
      else topic.broken.set(0, new StreamError('offset_out_of_range', 'gone'));
      topic.changed.ring();
      await clock.advance(8_000);
      expect(row.status).toBe(ends);
      expect(Object.fromEntries(row.positions)).toEqual(Object.fromEntries(log.positions));
      expect(log.ids.length).toBeGreaterThan(0);
    }
  });

  it('settles last what is told when it is stopped: what a helper had under way to the store is refused (Invariants 3, 7)', async () => {
    const { clock, topic, log, ledger, row, hosts } = await spreadOverTwo();
    topic.put(5);
    let arrive = (): void => undefined;
    const stalls = ({ seat }: Held): Promise<void> =>
      seat === undefined ? Promise.resolve() : new Promise((resolve) => (arrive = resolve));
    ledger.commitsHeld.push(stalls, stalls);
    await clock.advance(260);
    expect(ledger.commitsHeld).toEqual([]);
    topic.put(5);
    await clock.advance(20);
    ledger.command(ID, 'stopped');
    void hosts[0]!.look(ID);
    await clock.advance(200);
    expect(row.status).toBe('stopped');
    arrive();
    await clock.advance(100);
    expect(log.ids).toHaveLength(40);
    expect(Object.fromEntries(row.positions)).toEqual(Object.fromEntries(log.positions));
  });

  it('goes on when its lead gives it up: another one leads', async () => {
    const { clock, topic, log, row, hosts } = await spreadOverTwo();
    topic.put(10);
    void hosts[0]!.stop(5_000);
    await clock.advance(5_000);
    topic.put(10);
    await clock.advance(5_000);
    expect(row).toMatchObject({ owner: 'w2', status: 'running' });
    expect(Object.fromEntries(topic.readers)).toEqual({ w2: { index: 0, of: 1 } });
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
  });

  it('is in error with the code of any share, and nobody reads it (Invariant 7)', async () => {
    const { clock, topic, row } = await spreadOverTwo();
    const other = topic.counts.findIndex((_, i) => i % 2 !== 0);
    const helped = [0, 1, 2, 3].filter((i) => i % 2 === other % 2);
    for (const i of helped) topic.broken.set(i, new StreamError('offset_out_of_range', 'gone'));
    topic.changed.ring();
    await clock.advance(5_000);
    expect(row).toMatchObject({ status: 'error', owner: null, lastError: { code: 'offset_out_of_range' } });
    expect(topic.readers.size).toBe(0);
  });

  it.each([
    ['stopped', 'stopped'],
    ['paused', 'paused'],
  ] as const)('says %s when nobody can write any more, also one that does not hear of it', async (desired, status) => {
    const { clock, topic, log, ledger, spread, row, hosts } = await spreadOverTwo();
    spread.cutOff.add('w2');
    ledger.command(ID, desired);
    void hosts[0]!.look(ID);
    await clock.advance(500);
    expect(row).toMatchObject({ status, observed: 2 });
    topic.put(10);
    await clock.advance(2_000);
    expect(log.ids).toEqual([]);
    spread.cutOff.clear();
    ledger.command(ID, 'running');
    for (const host of hosts) void host.look(ID);
    await clock.advance(SPREADS_MS);
    expect(topic.readers.size).toBe(2);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
  });

  it('never tells of fewer events than before while its lead is at a loss', async () => {
    const { clock, topic, log, totals } = await spreadOverTwo();
    const led = [0, 1, 2, 3].filter((i) => isIn({ index: 0, of: 2 }, `t/${i}`));
    topic.put(30);
    await clock.advance(2_000);
    // What the lead has heard of his helper is more than what the log told him last.
    for (const i of [0, 1, 2, 3].filter((one) => !led.includes(one))) topic.counts[i]! += 50;
    topic.changed.ring();
    await clock.advance(2_500);
    log.frozen = true;
    topic.broken.set(led[0]!, new StreamError('source_unreachable', 'gone'));
    topic.changed.ring();
    await clock.advance(3_000);
    expect(totals.at(-1)).toBe(220);
    expect(totals).toEqual([...totals].sort((a, b) => a - b));
  });

  it.each(['stopped', 'paused'] as const)('never tells of less than before when it is %s', async (desired) => {
    const { clock, topic, log, ledger, hosts, totals, backlogs, last } = await spreadOverTwo();
    log.totalsPerWriter = true;
    topic.put(30);
    await clock.advance(3_000);
    expect([totals.at(-1), backlogs.at(-1)]).toEqual([120, 4]);
    const from = backlogs.length;
    log.frozen = true; // no opening says what it holds
    ledger.command(ID, desired);
    void hosts[0]!.look(ID);
    await clock.advance(4_000);
    expect(backlogs.slice(from).every((records) => records === 4)).toBe(true);
    log.thaw();
    await clock.advance(3_000);
    expect(last.report).toMatchObject({ total_events: 120, backlog_records: 4 });
    expect(totals).toEqual([...totals].sort((a, b) => a - b));
  });

  it('is read by its lead alone until the log holds where it begins', async () => {
    const { clock, topic, log, ledger, worker } = spreadWorld(4);
    ledger.add(ID);
    log.auto = false;
    for (const id of ['w1', 'w2']) worker(id);
    await clock.advance(SPREADS_MS);
    expect([...topic.readers.values()]).toEqual([{ index: 0, of: 1 }]);
    log.auto = true;
    log.land();
    await clock.advance(SPREADS_MS);
    expect(topic.readers.size).toBe(2);
  });

  it('has no seats in the store once its lead has opened the log for himself alone', async () => {
    const { clock, topic, spread } = await spreadOverTwo();
    const seat = jest.spyOn(spread, 'seat');
    // Nobody tells him of the rows that are there.
    spread.cutOff.add('w1');
    const led = [0, 1, 2, 3].find((i) => isIn({ index: 0, of: 2 }, `t/${i}`))!;
    topic.broken.set(led, new StreamError('source_unreachable', 'gone'));
    topic.put(1);
    await clock.advance(1_000);
    topic.broken.clear();
    await clock.advance(5_000);
    expect(seat.mock.calls.at(-1)?.[2]).toEqual([]);
  });

  it('is not helped by who leads it by the time the answer to its question comes', async () => {
    const { clock, ledger, spread, hosts, row } = await spreadOverTwo();
    const join = spread.join.bind(spread);
    let answer: () => void = () => undefined;
    const asked = jest.spyOn(spread, 'join').mockImplementation(async (workerId, streamId) => {
      const joined = await join(workerId, streamId);
      await new Promise<void>((resolve) => (answer = resolve));
      return joined;
    });
    await spread.leave('w2', ID);
    await clock.advance(SPREADS_MS);
    expect(asked).toHaveBeenCalled();
    void hosts[0]!.stop(1_000);
    await clock.advance(5_000);
    expect(row.owner).toBe('w2');
    answer();
    await clock.advance(100);
    expect(spread.rows.get(ID)).toEqual([]);
    expect(ledger.row(ID).status).toBe('running');
  });

  it('is left alone longer each time by a worker that can not read its share', async () => {
    const { clock, topic, spread } = await spreadOverTwo();
    const join = spread.join.bind(spread);
    const joins: number[] = [];
    jest.spyOn(spread, 'join').mockImplementation((workerId, streamId) => {
      joins.push(clock.monotonic());
      return join(workerId, streamId);
    });
    const source = topic.source.bind(topic);
    topic.source = (worker, share) => {
      const made = source(worker, share);
      const gone = () => Promise.reject(new StreamError('source_unreachable', 'gone'));
      return worker === 'w2' ? { ...made, read: () => ({ [Symbol.asyncIterator]: () => ({ next: gone }) }) } : made;
    };
    await spread.leave('w2', ID);
    await clock.advance(400_000);
    const waits = joins.slice(1).map((at, i) => at - joins[i]!);
    expect(waits).toHaveLength(3);
    expect(waits[1]).toBeGreaterThan(waits[0]! * 1.5);
    expect(waits[2]).toBeGreaterThan(waits[1]! * 1.5);
  });

  it('is helped again at once by a worker whose share failed because the stream was paused', async () => {
    const { clock, topic, ledger, log, worker } = spreadWorld(4);
    const row = ledger.add(ID);
    let cut: (error: Error) => void = () => undefined;
    const source = topic.source.bind(topic);
    topic.source = (name, share) => {
      const made = source(name, share);
      if (name !== 'w2') return made;
      const failure = new Promise<never>((_, reject) => (cut = reject));
      const read: typeof made.read = (...args) => {
        const changes = made.read(...args)[Symbol.asyncIterator]();
        const next = () => Promise.race([changes.next(), failure]);
        return { [Symbol.asyncIterator]: () => ({ ...changes, next }) };
      };
      return { ...made, read };
    };
    const lead = worker('w1');
    await clock.advance(1_500);
    worker('w2');
    await clock.advance(SPREADS_MS);
    expect([...topic.readers.keys()]).toEqual(['w1', 'w2']);
    ledger.command(ID, 'paused');
    cut(new StreamError('log_unavailable', 'the transaction was ended from outside'));
    await lead.look(ID);
    await clock.advance(2_000);
    expect(row.status).toBe('paused');
    ledger.command(ID, 'running');
    await lead.look(ID);
    await clock.advance(SPREADS_MS);
    expect(topic.readers.get('w2')).toEqual({ index: 1, of: 2 });
    topic.put(5);
    await clock.advance(1_000);
    expect([...log.ids].sort()).toEqual(topic.ids.sort());
  });

  it('counts no event twice when who reads what changes', async () => {
    const { clock, topic, hosts, last, worker } = await spreadOverTwo();
    topic.put(10);
    await clock.advance(3_000);
    void hosts[1]!.stop(1_000);
    await clock.advance(5_000);
    topic.put(10);
    worker('w3');
    await clock.advance(SPREADS_MS);
    topic.put(10);
    await clock.advance(3_000);
    expect(topic.readers.get('w3')).toEqual({ index: 1, of: 2 });
    expect(last.report).toMatchObject({ total_events: 120 });
    expect(last.report!.latency.reduce((sum, [, count]) => sum + count, 0)).toBe(120);
  });
});

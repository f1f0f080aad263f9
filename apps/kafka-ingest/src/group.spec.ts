import { StreamError, systemClock, type Clock } from '@planasonix/core';
import type { GroupOffset, KafkaCluster } from '@planasonix/kafka';
import { eventually } from '@planasonix/testing';
import { ReaderGroup, type GroupInput } from './group.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const POSITION = { topic_id: 'a'.repeat(32), offset: 7, leader_epoch: 0 };

/** Fakes, for moments that no broker can be asked for. */
function groupOver(
  cluster: Partial<Pick<KafkaCluster, 'deleteGroup' | 'groupState' | 'commit'>>,
  more: Partial<Omit<GroupInput, 'cluster'>>,
): ReaderGroup {
  return new ReaderGroup({
    ...{ streamId: 'str_1', clock: systemClock, log: quiet, helps: false, shared: false, owned: { group: 'g' } },
    remember: () => Promise.resolve(),
    ...more,
    cluster: cluster as KafkaCluster,
  });
}

/** Time that passes where somebody waits for it. */
function passingTime(): Clock {
  let now = 0;
  return { ...systemClock, monotonic: () => now, sleep: (ms) => Promise.resolve((now += ms) > 0) };
}

/** Whoever waits does until the test wakes him. */
function clockThatHolds() {
  const wake: ((passed: boolean) => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    monotonic: () => 0,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        wake.push(resolve);
        signal?.addEventListener('abort', () => resolve(false), { once: true });
      }),
  };
  return { clock, wake };
}

/** `back` times somebody has written to it since it was deleted. */
function groupThatIsBack(back: number, clock = passingTime()) {
  let deleted = 0;
  const cluster = {
    deleteGroup: () => Promise.resolve(++deleted > 0),
    groupState: () => Promise.resolve(deleted > back ? 'Dead' : 'Empty'),
  };
  return groupOver(cluster, { clock }).release();
}

/** Deleted while one who helps has looked at it and is about to write: he does as soon as somebody waits, or afterwards. */
async function isThereAfterLateWrite(): Promise<boolean> {
  let [isThere, hasWritten] = [true, false];
  const write = () => {
    isThere ||= !hasWritten;
    hasWritten = true;
  };
  const cluster = {
    deleteGroup: () => Promise.resolve(isThere && !(isThere = false)),
    groupState: () => Promise.resolve(isThere ? 'Empty' : 'Dead'),
  };
  const clock = passingTime();
  const sleep: Clock['sleep'] = (ms) => {
    write();
    return clock.sleep(ms);
  };
  const report = await groupOver(cluster, { clock: { ...clock, sleep }, shared: true }).release();
  expect(report).toEqual({ released: ['group g'], remaining: [] });
  write();
  return isThere;
}

/** Offsets that the group is made with by one who begins to read. */
async function madeWith(state: string, more: Partial<Omit<GroupInput, 'cluster'>>): Promise<number[]> {
  const { group, found, looked } = groupOfOffsets(state, more);
  group.begins([{ topic: 'orders', partition: 0, topicId: POSITION.topic_id, offset: 5, leaderEpoch: 0 }]);
  if (more.helps !== true) await eventually('a look at it', () => looked.length > 0);
  await group.close();
  return found;
}

/** Offsets that were written by one who closes as it waits to write what came last. */
async function written(state: string, helps: boolean): Promise<number[]> {
  const { group, found, looked } = groupOfOffsets(state, { helps });
  group.durable('orders/0', { ...POSITION, offset: 7 });
  await eventually('a look at it or a writing', () => looked.length + found.length > 0);
  group.durable('orders/0', { ...POSITION, offset: 8 });
  await group.close();
  return found;
}

/** With the offsets that were written to it; the first `failing` times it can't be. */
function groupOfOffsets(state: string, more: Partial<Omit<GroupInput, 'cluster'>>, failing = 0) {
  const found: number[] = [];
  const looked: string[] = [];
  const group = groupOver(
    {
      groupState: (name) => Promise.resolve((looked.push(name), state)),
      commit: (_name: string, offsets: readonly GroupOffset[]) =>
        failing-- > 0
          ? Promise.reject(new StreamError('source_unreachable', 'The broker is away'))
          : Promise.resolve(void found.push(...offsets.map(({ offset }) => offset))),
    },
    more,
  );
  return { group, found, looked };
}

describe('giving the group back (trap 33)', () => {
  it('deletes it again where who read along has written the last offsets after it was deleted', async () => {
    expect(await groupThatIsBack(3)).toEqual({ released: ['group g'], remaining: [] });
  });

  it('says so where it always comes back', async () => {
    const remaining = [{ what: 'group g', why: 'It is still there (Empty).', code: 'active_consumers' }];
    expect(await groupThatIsBack(Infinity)).toEqual({ released: [], remaining });
  });

  it('is looked at once more where others may read along: one of them may have been about to write', async () => {
    expect(await isThereAfterLateWrite()).toBe(false);
    // With one reader there is nobody to wait for.
    const clock = passingTime();
    await groupThatIsBack(0, clock);
    expect(clock.monotonic()).toBe(0);
  });

  it("is made where there is none by the lead as it begins, unless the stream is another one's by then", async () => {
    expect(await madeWith('Dead', {})).toEqual([5]);
    expect(await madeWith('Empty', {})).toEqual([]);
    expect(await madeWith('Dead', { helps: true })).toEqual([]);
    const fenced = () => Promise.reject(new StreamError('fenced', 'Another worker has taken over'));
    expect(await madeWith('Dead', { remember: fenced })).toEqual([]);
  });

  it('is not made again by a lead that was frozen while the stream was deleted, with offsets still to be written (Invariant 3)', async () => {
    let [state, refused] = ['Empty', 0];
    const { clock, wake } = clockThatHolds();
    const found: number[] = [];
    const group = groupOver(
      {
        groupState: () => Promise.resolve(state),
        commit: (_name, offsets) => Promise.resolve(void found.push(offsets[0]!.offset)),
      },
      { clock, remember: () => (refused++, Promise.reject(new StreamError('fenced', 'Another worker'))) },
    );
    group.durable('orders/0', POSITION);
    await eventually('it waits to write', () => wake.length > 0);
    state = 'Dead';
    wake.shift()!(true);
    await eventually('it is refused', () => refused > 0);
    await eventually('it waits to try again', () => wake.length > 0);
    for (const each of wake.splice(0)) each(true);
    await group.close();
    expect(found).toEqual([]);
  });

  it('is not made again by who closes, or helps, when it is gone', async () => {
    for (const helps of [false, true]) expect(await written('Empty', helps)).toEqual([7, 8]);
    expect(await written('Dead', false)).toEqual([7]);
    expect(await written('Dead', true)).toEqual([]);
  });
});

describe('the offsets that the group shows', () => {
  it('are those of the last record, also if nothing comes after it', async () => {
    const { group, found } = groupOfOffsets('Empty', { clock: passingTime() });
    group.durable('orders/0', POSITION);
    await eventually('the first', () => found.length === 1);
    // Within the second in which nothing is written.
    group.durable('orders/0', { ...POSITION, offset: 8 });
    await eventually('the last', () => found.at(-1) === 8);
    await group.close();
    expect(found).toEqual([7, 8]);
  });

  it.each(Array.from({ length: 12 }, (_, turns) => turns))(
    'are those of the last record, %i turns after the one before was written',
    async (turns) => {
      const found: number[] = [];
      const group = groupOver(
        {
          groupState: () => Promise.resolve('Empty'),
          commit: async (_name, offsets) => {
            found.push(offsets[0]!.offset);
            if (found.length > 1) return;
            void (async () => {
              for (let i = 0; i < turns; i++) await Promise.resolve();
              group.durable('orders/0', { ...POSITION, offset: 8 });
            })();
            await Promise.resolve();
          },
        },
        { clock: passingTime() },
      );
      group.durable('orders/0', POSITION);
      await eventually('the last', () => found.at(-1) === 8);
    },
  );

  it('are written once the broker can be written to, or the lead has made the group', async () => {
    const away = groupOfOffsets('Empty', { clock: passingTime() }, 3);
    away.group.durable('orders/0', POSITION);
    await eventually('what was not written', () => away.found.at(-1) === 7);

    let state = 'Dead';
    const found: number[] = [];
    const group = groupOver(
      {
        groupState: () => Promise.resolve(state),
        commit: (_name, offsets) => Promise.resolve(void found.push(offsets[0]!.offset)),
      },
      { helps: true, clock: { ...passingTime(), sleep: () => new Promise((done) => setImmediate(done, true)) } },
    );
    group.durable('orders/0', POSITION);
    await new Promise((done) => setImmediate(done));
    expect(found).toEqual([]);
    state = 'Empty';
    await eventually('what the helper has read', () => found.at(-1) === 7);
  });
});

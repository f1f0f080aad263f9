import { systemClock, type Clock } from '@planasonix/core';
import type { GroupOffset, KafkaCluster } from '@planasonix/kafka';
import { ReaderGroup } from './group.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const POSITION = { topic_id: 'a'.repeat(32), offset: 7, leader_epoch: 0 };

/** Fakes, for moments that no broker can be asked for. */
function groupOver(
  cluster: Partial<Pick<KafkaCluster, 'deleteGroup' | 'groupState' | 'commit'>>,
  { clock = systemClock, helps = false }: { readonly clock?: Clock; readonly helps?: boolean },
): ReaderGroup {
  return new ReaderGroup({
    ...{ streamId: 'str_1', clock, log: quiet, helps, owned: { group: 'g' }, remember: () => Promise.resolve() },
    cluster: cluster as KafkaCluster,
  });
}

/** `back` times somebody has written to it since it was deleted. */
function groupThatIsBack(back: number) {
  let deleted = 0;
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => now, sleep: (ms) => Promise.resolve((now += ms) > 0) };
  const cluster = {
    deleteGroup: () => Promise.resolve(++deleted > 0),
    groupState: () => Promise.resolve(deleted > back ? 'Dead' : 'Empty'),
  };
  return groupOver(cluster, { clock }).release();
}

/** Offsets that were written by one who closes within a second of the last writing. */
async function written(state: string, helps: boolean): Promise<number[]> {
  const found: number[] = [];
  const cluster = {
    groupState: () => Promise.resolve(state),
    commit: (_name: string, offsets: readonly GroupOffset[]) =>
      Promise.resolve(void found.push(...offsets.map(({ offset }) => offset))),
  };
  const group = groupOver(cluster, { helps });
  for (const offset of [7, 8]) await group.durable('orders/0', { ...POSITION, offset });
  await group.close();
  return found;
}

describe('giving the group back (trap 33)', () => {
  it('deletes it again where who read along has written the last offsets after it was deleted', async () => {
    expect(await groupThatIsBack(3)).toEqual({ released: ['group g'], remaining: [] });
  });

  it('says so where it always comes back', async () => {
    const remaining = [{ what: 'group g', why: 'It is still there (Empty).', code: 'active_consumers' }];
    expect(await groupThatIsBack(Infinity)).toEqual({ released: [], remaining });
  });

  it('is not made again by who closes, or helps, when it is gone', async () => {
    for (const helps of [false, true]) expect(await written('Empty', helps)).toEqual([7, 8]);
    expect(await written('Dead', false)).toEqual([7]);
    expect(await written('Dead', true)).toEqual([]);
  });
});

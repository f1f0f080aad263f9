import { systemClock, type Clock } from '@planasonix/core';
import type { KafkaCluster } from '@planasonix/kafka';
import { ReaderGroup } from './group.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A fake, for a moment that no broker can be asked for: `back` times somebody has written to it since it was deleted. */
function groupThatIsBack(back: number) {
  let deleted = 0;
  const cluster = {
    deleteGroup: () => Promise.resolve(void deleted++),
    groupState: () => Promise.resolve(deleted > back ? 'Dead' : 'Empty'),
  };
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => now, sleep: (ms) => Promise.resolve((now += ms) > 0) };
  const group = new ReaderGroup({
    ...{ streamId: 'str_1', clock, log: quiet, owned: { group: 'g' }, remember: () => Promise.resolve() },
    cluster: cluster as unknown as KafkaCluster,
  });
  return group.release();
}

describe('giving the group back (trap 33)', () => {
  it('deletes it again where who read along has written the last offsets after it was deleted', async () => {
    expect(await groupThatIsBack(3)).toEqual({ released: ['group g'], remaining: [] });
  });

  it('says so where it always comes back', async () => {
    const remaining = [{ what: 'group g', why: 'It is still there (Empty).', code: 'active_consumers' }];
    expect(await groupThatIsBack(Infinity)).toEqual({ released: [], remaining });
  });
});

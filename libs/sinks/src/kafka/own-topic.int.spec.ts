import { changeSettings, topicSettings } from '@planasonix/kafka';
import { commit } from '@planasonix/testing';
import { delivery, soon } from '../deliveries-under-test.js';
import { inletUnderTest } from './inlet-under-test.js';
import { journalTopic } from './journal.js';
import { seenTopic } from './seen-topic.js';

jest.setTimeout(60_000);

const never = new AbortController().signal;
const DAY_MS = 86_400_000;
const at = inletUnderTest();

/** Some that we never set, and one that we set ourselves when we make the topic. */
const THEIRS = { 'min.compaction.lag.ms': '1000', 'min.insync.replicas': '1', 'segment.bytes': '2097152' } as const;

async function settings(topic: string) {
  const { cluster } = await at.logs.reach();
  return {
    give: () => changeSettings(cluster, topic, THEIRS),
    own: async () => Object.fromEntries((await topicSettings(cluster, topic, 'own'))!),
  };
}

describe('what somebody else has set for a topic of ours', () => {
  it('stays with the journal when the stream is deleted, and when it lives on', async () => {
    const writer = async (epoch: number) => {
      const sink = at.logs.sink(at.log, at.id, epoch);
      await sink.open();
      await sink.append(commit(epoch, epoch), never);
    };
    await writer(1);
    const { give, own } = await settings(journalTopic(at.id));
    const made = await own();
    await give();
    await at.log.expire(at.id, 86_400, 2);
    expect(await own()).toEqual({ ...made, ...THEIRS, 'cleanup.policy': 'delete', 'retention.ms': String(DAY_MS) });
    await writer(2);
    expect(await own()).toEqual({ ...made, ...THEIRS, 'cleanup.policy': 'compact' });
  });

  it('stays with what was taken in when that is kept for longer, goes, and is kept after all', async () => {
    const inlet = await at.opened();
    const { give, own } = await settings(seenTopic(at.id));
    const made = await own();
    await give();
    await inlet.append(at.id, 1, delivery('a', { windowMs: 10 * DAY_MS }), soon());
    expect(await own()).toEqual({ ...made, ...THEIRS, 'retention.ms': String(11 * DAY_MS) });
    await at.log.expire(at.id, 86_400, 2);
    expect(await own()).toMatchObject({ ...THEIRS, 'cleanup.policy': 'delete', 'retention.ms': String(DAY_MS) });
    await inlet.open(at.id, 2, null);
    expect(await own()).toEqual({ ...made, ...THEIRS });
  });
});

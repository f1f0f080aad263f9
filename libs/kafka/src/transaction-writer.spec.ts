import { systemClock } from '@planasonix/core';
import { WireWriter } from './client-wire.js';
import type { Call } from './client.js';
import type { KafkaCluster, ProducerRoutes } from './index.js';
import type { Produced } from './producer-requests.js';
import { text } from './producers-under-test.js';
import { TransactionWriter, type PartitionRecords } from './transaction-writer.js';

/** A broker that answers as the test says, in turn; what it was sent. */
function writerOver(answers: readonly (readonly Produced[])[]) {
  const sent: Buffer[] = [];
  const asked: number[] = [];
  let now = 1_700_000_000_000;
  const cluster = {
    turn: 0,
    doubt(turn: number) {
      if (turn === this.turn) this.turn++;
    },
    send: (_node: number, _lane: string, call: Call<unknown>) => {
      const to = new WireWriter();
      call.encode(to, 9);
      sent.push(Buffer.concat(to.pieces()));
      return Promise.resolve(answers[sent.length - 1]);
    },
  };
  const routes = {
    topic: (topic: string) => Promise.resolve({ topic, partitions: 2, maxBytes: 1_000_000 }),
    leader: () => 1,
    refresh: () => Promise.resolve(void asked.push(cluster.turn)),
  };
  const writer = new TransactionWriter({
    cluster: cluster as unknown as KafkaCluster,
    routes: routes as unknown as ProducerRoutes,
    identity: { transactionalId: 'tx', producerId: 5, producerEpoch: 3 },
    // A batch that were made a second time would have another time in it.
    clock: { ...systemClock, now: () => now++, sleep: () => Promise.resolve(true) },
    signal: new AbortController().signal,
  });
  return { writer, sent, asked };
}

const records = (partition: number, ...values: string[]): PartitionRecords => ({
  ...{ topic: 't', partition },
  records: values.map((value) => text(value)),
});
const written = (partition: number, baseOffset: number): Produced => ({ topic: 't', partition, error: 0, baseOffset });

describe('what a broker answers to a batch (trap 25a)', () => {
  it.each([7, 6, 0])(
    'is an error where it gives offset %i once more: it took the batch for an older one',
    async (old) => {
      const { writer } = writerOver([[written(0, 6)], [written(0, 7)], [written(0, old)]]);
      await writer.write([records(0, 'a')]);
      await writer.write([records(0, 'b')]);
      await expect(writer.write([records(0, 'c')])).rejects.toMatchObject({
        ...{ code: 'internal', message: 't/0 took a batch for one that it had.' },
      });
    },
  );

  it('counts by partition: what one of them has does not answer for another', async () => {
    const { writer, sent } = writerOver([[written(0, 6), written(1, 2)], [written(1, 3)]]);
    await writer.write([records(0, 'a'), records(1, 'b')]);
    await writer.write([records(1, 'c')]);
    expect(sent).toHaveLength(2);
  });

  it('is that it does not lead: another broker is asked who does, each time', async () => {
    const notLeader: Produced = { topic: 't', partition: 0, error: 6, baseOffset: -1 };
    const { writer, sent, asked } = writerOver([[notLeader], [notLeader], [written(0, 0)]]);
    await writer.write([records(0, 'a')]);
    expect([sent.length, asked]).toEqual([3, [1, 2]]);
  });

  it('leaves a partition out: that one alone is sent again, as the same bytes', async () => {
    const one = writerOver([[], [], [written(0, 0)]]);
    await one.writer.write([records(0, 'a', 'b')]);
    expect(one.sent).toHaveLength(3);
    expect(one.sent[1]).toEqual(one.sent[0]);
    expect(one.sent[2]).toEqual(one.sent[0]);
    const two = writerOver([[written(1, 0)], [written(0, 0)]]);
    await two.writer.write([records(0, 'first'), records(1, 'second')]);
    expect(two.sent.map((bytes) => ['first', 'second'].filter((value) => bytes.includes(value)))).toEqual([
      ['first', 'second'],
      ['first'],
    ]);
    const again = two.sent[1]!;
    const batch = again.subarray(again.indexOf('first') - 60, again.indexOf('first'));
    expect(two.sent[0]!.includes(batch)).toBe(true);
  });
});

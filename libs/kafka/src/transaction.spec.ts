import { systemClock } from '@planasonix/core';
import type { Call } from './client.js';
import { KafkaError, TransactionalProducer, type KafkaCluster, type ProducerRoutes } from './index.js';

const CONCURRENT_TRANSACTIONS = 51;

/** A coordinator that is busy so many times, and how long it was waited for in between, ms. */
async function begun(busy: number): Promise<readonly number[]> {
  const slept: number[] = [];
  let now = 0;
  const cluster = {
    view: () => Promise.resolve({ brokers: new Map([[1, { host: 'h', port: 1 }]]), topics: [] }),
    send: (_node: number, _lane: string, { name }: Call<unknown>) => {
      if (name === 'FindCoordinator') return Promise.resolve(1);
      if (name !== 'InitProducerId') throw new Error(`nobody asks for ${name}`);
      if (busy-- > 0) return Promise.reject(new KafkaError(CONCURRENT_TRANSACTIONS, 'beginning as the producer'));
      return Promise.resolve({ producerId: 1, producerEpoch: 4 });
    },
  };
  const producer = new TransactionalProducer({
    cluster: cluster as unknown as KafkaCluster,
    routes: {} as ProducerRoutes,
    transactionalId: 'tx',
    clock: {
      ...{ now: () => systemClock.now(), monotonic: () => now },
      sleep: (ms) => {
        slept.push(ms);
        now += ms;
        return Promise.resolve(true);
      },
    },
  });
  await producer.begin();
  return slept;
}

describe('a coordinator that still writes the end of the last transaction', () => {
  it('is asked again after some milliseconds, not after the hundreds of kafkajs', async () => {
    expect(await begun(3)).toEqual([2, 5, 10]);
    expect(await begun(6)).toEqual([2, 5, 10, 20, 20, 20]);
  });

  it('is given up after half a minute', async () => {
    await expect(begun(Infinity)).rejects.toMatchObject({
      ...{ code: 'source_unreachable', recourse: 'retry' },
      message: expect.stringContaining('CONCURRENT_TRANSACTIONS'),
    });
  });
});

import { eventually, startProxy, startRedis, type Proxy } from '@planasonix/testing';
import { consumeQueues, QueueProducer, type QueueConsumer } from './index.js';

jest.setTimeout(60_000);

describe('a question, while Redis comes and goes', () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  let proxy: Proxy;
  let queues: QueueProducer;
  let worker: QueueConsumer;
  let asked = 0;
  let answer = (): Promise<string> => Promise.resolve('here');

  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startProxy({ targetPort: redis.port });
    queues = new QueueProducer(`redis://127.0.0.1:${proxy.port}`);
    worker = consumeQueues(redis.url, 'fake', {
      look: () => Promise.resolve(),
      answer: () => (asked++, answer()),
    });
  });
  beforeEach(() => eventually('it is reached', () => queues.ping().then(() => true)));
  afterAll(async () => {
    await worker?.close();
    await queues?.close();
    await proxy?.stop();
    await redis?.stop();
  });

  const ask = (ms: number) => queues.ask('fake', { kind: 'check' }, ms);

  it('is answered, also where the answer comes while nobody could hear it', async () => {
    expect(await ask(5000)).toBe('here');
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    answer = () => gate.then(() => 'after the cut');
    const before = asked;
    const answered = ask(30_000);
    await eventually('the worker has it', () => asked > before);
    proxy.cut();
    release();
    const direct = await ask(20_000).catch((error: unknown) => error);
    expect(direct).toBeInstanceOf(Error);
    proxy.resume();
    expect(await answered).toBe('after the cut');
  });

  it('of a Redis that takes connections and says nothing ends when its time is up', async () => {
    answer = () => Promise.resolve('here');
    proxy.stall();
    await expect(ask(300)).rejects.toThrow('no answer in time');
    await expect(queues.ping()).rejects.toThrow();
    proxy.resume();
    await eventually('it is reached again', async () => (await ask(2000)) === 'here');
  });
});

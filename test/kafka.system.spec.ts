import { createTopics, eventually, type Kafka } from '@planasonix/testing';
import type { Redis } from 'ioredis';
import type { Admin, Producer } from 'kafkajs';
import type { Client as StoreClient } from 'pg';
import { readLog, repeatedIds, type LogEvent } from './log.js';
import { addKafka, startProduct, type Product } from './product.js';
import { makePipeline, start, until } from './shop.js';
import type { Stack } from './stack.js';

jest.setTimeout(300_000);

const PARTITIONS = 3;

interface Place {
  readonly partition: number;
  readonly offset: number;
}

const placeOf = (event: LogEvent): Place => event.data.source as unknown as Place;

describe('Kafka topics into the log, from outside', () => {
  let kafka: Kafka;
  let stack: Stack;
  let redis: Redis;
  let store: StoreClient;
  let admin: Admin;
  let producer: Producer;
  let connectionId: string;
  let pipelineId: string;
  let product: Product;

  beforeAll(async () => {
    product = await startProduct('kafka-ingest');
    ({ stack, redis, store } = product);
    ({ kafka, admin, producer, connectionId } = await addKafka(product));
    pipelineId = await makePipeline(stack);
  });
  afterAll(() => product?.end());

  async function stream(name: string, config: object): Promise<string> {
    const body = { name, sourceType: 'kafka', connectionId, pipelineId, config };
    const made = await stack.api('POST', '/api/streams', body);
    expect({ status: made.status, text: made.text }).toMatchObject({ status: 201 });
    return made.id;
  }

  const put = (topic: string, values: readonly string[], partition = 0) =>
    producer.send({ topic, messages: values.map((value) => ({ partition, key: `k${partition}`, value })) });

  const outputTo = (topic: string, connection = connectionId) => ({ type: 'kafka', connectionId: connection, topic });

  /** The output of a pipeline, past all that the gateway looks at. */
  const leadTo = (pipeline: string, topic: string) =>
    store.query(`UPDATE pipelines SET output = $2 WHERE id = $1`, [pipeline, JSON.stringify(outputTo(topic))]);

  /** Pid of the worker that holds the lease. */
  async function owner(id: string): Promise<number> {
    const { rows } = await store.query<{ owner: string | null }>(
      'SELECT lease_owner AS owner FROM streams WHERE id = $1',
      [id],
    );
    return Number(/-(\d+)-\w+$/.exec(rows[0]?.owner ?? '')?.[1]);
  }

  /** Each record once, each partition in its order and without a gap. */
  function expectWhole(events: readonly LogEvent[], counts: readonly number[]): void {
    expect(repeatedIds(events)).toBe(0);
    for (const [partition, count] of counts.entries()) {
      const offsets = events.map(placeOf).filter((place) => place.partition === partition);
      expect(offsets.map(({ offset }) => offset)).toEqual(Array.from({ length: count }, (_, i) => i));
    }
  }

  it('knows the type, tests the connection, and says before the start what is missing', async () => {
    const types = await stack.api('GET', '/api/source-types');
    expect(JSON.stringify(types.json)).toContain('"kafka"');
    const test = await stack.api('POST', `/api/connections/${connectionId}/test`);
    expect(test.json).toMatchObject({ ok: true });
    const id = await stream('missing', { topics: ['nowhere'] });
    const { a } = await stack.api('POST', `/api/streams/${id}/check`);
    expect(a.ok).toBe(false);
    expect(a.checks).toContainEqual(expect.objectContaining({ code: 'topic_missing', severity: 'error' }));
    const wrong = await stack.api('POST', '/api/streams', {
      ...{ name: 'wrong', sourceType: 'kafka', connectionId, pipelineId },
      config: { topic: ['orders'] },
    });
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain('topics');
  });

  it('refuses a stream that is to read what it writes, when it is made and when it is started', async () => {
    await createTopics(admin, [{ topic: 'copied' }, { topic: 'copies' }]);
    const into = await makePipeline(stack, 'copies', outputTo('copies'));
    const named = (name: string, topics: readonly string[], pipeline = into) =>
      stack.api('POST', '/api/streams', { name, sourceType: 'kafka', connectionId, pipelineId: pipeline, config: { topics } }); // prettier-ignore
    const refused = await named('own', ['copied', 'copies']);
    expect(refused).toMatchObject({ status: 400, text: expect.stringContaining('writes to the topic copies') });
    const { status, id } = await named('other', ['copied']);
    expect(status).toBe(201);
    const patched = await stack.api('PATCH', `/api/streams/${id}`, { config: { topics: ['copies'] } });
    expect(patched).toMatchObject({ status: 400, text: expect.stringContaining('Leave copies out of topics') });
    const led = await stack.api('PUT', `/api/pipelines/${into}`, { name: 'copies', output: outputTo('copied') });
    expect([led.status, led.json.error.details[0]]).toMatchObject([
      400,
      { field: 'output.topic', issue: expect.stringContaining('"other": The stream writes to the topic copied') },
    ]);
    await leadTo(into, 'copied');
    await stack.api('POST', `/api/streams/${id}/start`);
    await until(stack, id, 'error');
    expect((await stack.api('GET', `/api/streams/${id}`)).a.last_error).toMatchObject({
      ...{ code: 'config_invalid', message: expect.stringContaining('writes to the topic copied') },
      hint: expect.stringContaining('let the pipeline write to topics of other names'),
    });
  });

  it('refuses a circle over several streams, when one is made, a pipeline is changed, and at the start', async () => {
    await createTopics(admin, ['round.a', 'round.b', 'round.c'].map((topic) => ({ topic }))); // prettier-ignore
    // Another connection to the same brokers.
    const config = { brokers: kafka.brokers.map((broker) => broker.replace('127.0.0.1', 'localhost')) };
    const { id: other } = await stack.api('POST', '/api/connections', { name: 'round', type: 'kafka', config });
    const there = await makePipeline(stack, 'round there', outputTo('round.b'));
    const back = await makePipeline(stack, 'round back', outputTo('round.a', other));
    const named = (name: string, topic: string, pipeline: string) =>
      stack.api('POST', '/api/streams', {
        ...{ name, sourceType: 'kafka', connectionId: other, pipelineId: pipeline },
        config: { topics: [topic] },
      });
    const first = await named('round there', 'round.a', there);
    expect(first.status).toBe(201);
    const circle = 'it takes round.b to round.a, and "round there" takes round.a to round.b';
    const refused = await named('round back', 'round.b', back);
    expect(refused).toMatchObject({ status: 400, text: expect.stringContaining(circle.replaceAll('"', '\\"')) });
    const second = await named('round back', 'round.c', back);
    expect(second.status).toBe(201);
    const output = outputTo('round.c');
    const led = await stack.api('PUT', `/api/pipelines/${there}`, { name: 'round there', output });
    expect([led.status, led.json.error.details[0].issue]).toEqual([400, expect.stringContaining('for ever')]);
    await leadTo(there, 'round.c');
    await start(stack, first.id);
    const check = await stack.api('POST', `/api/streams/${first.id}/check`);
    expect(check.a.ok).toBe(true);
    expect(check.a.checks).toContainEqual(
      expect.objectContaining({ severity: 'warning', message: expect.stringContaining('as soon as "round back" ran') }),
    );
    await stack.api('POST', `/api/streams/${second.id}/start`);
    await until(stack, second.id, 'error');
    expect((await stack.api('GET', `/api/streams/${second.id}`)).a.last_error).toMatchObject({
      ...{ code: 'config_invalid', message: expect.stringContaining('"round there" takes round.a to round.c') },
    });
  });

  it('has each record once over kills and freezes of its worker and a kill of the broker', async () => {
    await createTopics(admin, [{ topic: 'orders', numPartitions: PARTITIONS }]);
    const id = await stream('orders', { topics: ['orders'] });
    const sent = Array.from({ length: PARTITIONS }, () => 0);
    let writing = true;
    const writer = (async () => {
      for (let round = 0; writing; round++) {
        const partition = round % PARTITIONS;
        const values = Array.from({ length: 20 }, (_, i) => `{"n":${sent[partition]! + i}}`);
        // A send that failed may have been written; what the topic holds in the end is what counts.
        await put('orders', values, partition).catch(() => undefined);
        sent[partition]! += 20;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    await start(stack, id);
    const more = async (what: string) => {
      const before = await redis.xlen(`plnx:events:{${id}}`);
      await eventually(what, async () => (await redis.xlen(`plnx:events:{${id}}`)) > before + 100, {
        timeoutMs: 60_000,
      });
    };
    await more('events come');
    for (let kill = 0; kill < 2; kill++) {
      const killed = stack.pids('kafka-ingest');
      for (const pid of killed) process.kill(pid, 'SIGKILL');
      const taken = async () => !killed.includes(await owner(id));
      await eventually('another process has it', taken);
      await more(`events come after kill ${kill}`);
    }
    const frozen = await owner(id);
    process.kill(frozen, 'SIGSTOP');
    await eventually('another worker has it', async () => (await owner(id)) !== frozen, { timeoutMs: 90_000 });
    await more('events come from the other worker');
    process.kill(frozen, 'SIGCONT');
    await more('events come after it woke up');
    await kafka.nodes[0]!.kill();
    await kafka.nodes[0]!.start();
    await more('events come after the broker is back');
    writing = false;
    await writer;
    const held = (await admin.fetchTopicOffsets('orders')).map(({ partition, high }) => [partition, Number(high)]);
    const counts = Array.from({ length: PARTITIONS }, (_, i) => held.find(([partition]) => partition === i)![1]!);
    const total = counts.reduce((sum, count) => sum + count, 0);
    await eventually('all is there', async () => (await redis.xlen(`plnx:events:{${id}}`)) >= total, {
      timeoutMs: 60_000,
    });
    expectWhole(await readLog(redis, id), counts);
    await eventually('the lag is 0', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.lag_seconds === 0 && a.lag_certain && a.backlog_records === 0 && a.total_events === total;
    });
  });

  it('pauses, resumes, stops; deletes its group; shows what it set aside', async () => {
    await createTopics(admin, [{ topic: 'strict', numPartitions: 1 }]);
    await put('strict', ['{"n":0}', 'no json', '{"n":2}']);
    const id = await stream('strict', { topics: ['strict'], format: 'json' });
    await start(stack, id);
    const values = async () =>
      (await readLog(redis, id)).map(({ data }) => (data as unknown as { value: unknown }).value);
    await eventually('both are there', async () => (await values()).length === 2);
    const rejected = await stack.api('GET', `/api/streams/${id}/rejected`);
    expect(rejected.json.data).toMatchObject([
      { type: 'rejected_record', attributes: { place: 'strict/0 at 1', reason: 'The value is not JSON.' } },
    ]);
    await eventually('it is counted', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.rejected_events === 1;
    });
    const reading = async () => [await owner(id), await redis.hget(`plnx:log:{${id}}`, 'session')];
    const before = await reading();
    expect((await stack.api('POST', `/api/streams/${id}/pause`)).a.status).toBe('paused');
    await put('strict', ['{"n":3}']);
    await eventually('the lag grows', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.backlog_records === 1;
    });
    expect(await values()).toHaveLength(2);
    expect((await stack.api('POST', `/api/streams/${id}/resume`)).a.status).toBe('running');
    await eventually('the third is there', async () => (await values()).length === 3);
    // The same reader with what it had, not a new one.
    expect(await reading()).toEqual(before);
    expect((await stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    const group = `planasonix-${id}`;
    const groups = async () => (await admin.listGroups()).groups.map(({ groupId }) => groupId);
    expect(await groups()).toContain(group);
    const set = await stack.api('PUT', `/api/streams/${id}/position`, { position: { strict: { '0': 2 } } });
    expect(set.status).toBe(200);
    await start(stack, id);
    await eventually('it goes on from there', async () => (await values()).length === 5);
    expect(await values()).toEqual([{ n: 0 }, { n: 2 }, { n: 3 }, { n: 2 }, { n: 3 }]);
    expect((await stack.api('DELETE', `/api/streams/${id}`)).status).toBe(200);
    expect(await groups()).not.toContain(group);
  });

  it('says which records retention took, and goes on when it is told to', async () => {
    await createTopics(admin, [{ topic: 'short', numPartitions: 2 }]);
    await put('short', ['0', '1', '2']);
    const id = await stream('short', { topics: ['short'] });
    await start(stack, id);
    await eventually('three are there', async () => (await readLog(redis, id)).length === 3);
    expect((await stack.api('POST', `/api/streams/${id}/stop`)).a.status).toBe('stopped');
    await put('short', ['3', '4', '5']);
    await put('short', ['x0'], 1);
    await admin.fetchTopicOffsets('short');
    await admin.deleteTopicRecords({ topic: 'short', partitions: [{ partition: 0, offset: '5' }] });
    // Nobody reads it: a worker that looks at its lag finds out.
    await until(stack, id, 'error');
    const { a } = await stack.api('GET', `/api/streams/${id}`);
    expect(a.last_error).toMatchObject({
      code: 'offset_out_of_range',
      message: 'Records 3 to 4 of short/0 are gone: the broker holds 5 to 5.',
    });
    const refused = await stack.api('POST', `/api/streams/${id}/start`);
    expect(refused.status).toBe(409);
    expect(refused.json.error.code).toBe('position_lost');
    expect((await stack.api('POST', `/api/streams/${id}/start`, { onLostPosition: 'skip' })).status).toBe(200);
    await eventually('the rest is there', async () => (await readLog(redis, id)).length === 5);
    const places = (await readLog(redis, id)).map(placeOf);
    expect(places.filter(({ partition }) => partition === 0).map(({ offset }) => offset)).toEqual([0, 1, 2, 5]);
  });
});

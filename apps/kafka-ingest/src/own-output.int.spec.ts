import type { EventLog, PipelineOutput } from '@planasonix/core';
import { createOutbound } from '@planasonix/outbound';
import { openLog } from '@planasonix/sinks';
import { rising, TopicsUnderTest } from './topics-under-test.js';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

describe('a stream into the cluster that it reads', () => {
  let under: TopicsUnderTest;
  const logs: EventLog[] = [];
  beforeAll(async () => {
    under = await TopicsUnderTest.start();
  });
  afterEach(async () => {
    await under.stopStreams();
    for (const log of logs.splice(0)) await log.close();
  });
  afterAll(() => under.stop());

  /** Its log is reached over another connection than its source, unless it can't be. */
  function stream(
    config: object,
    topic: string,
    brokers = under.kafka.brokers.map((one) => one.replace('127.0.0.1', 'localhost')),
  ) {
    // prettier-ignore
    const output: PipelineOutput = { type: 'kafka', connectionId: 'conn_log', topic };
    const log = openLog(output, {
      redisUrl: 'redis://127.0.0.1:1',
      kafka: {
        settings: () => Promise.resolve({ id: 'conn_log', type: 'kafka', config: { brokers } }),
        outbound: createOutbound({ policy: 'allow-private' }),
        log: silent,
      },
    });
    logs.push(log);
    const made = under.stream({ ...config });
    made.logTopics = () => log.topics!('str_1');
    return made;
  }

  it('does not read what it writes, though it is told to', async () => {
    const [orders, log] = [await under.topic(), await under.topic(1, 'log.str_1')];
    const reads = stream({ topics: [orders, log] }, 'log.{stream}');
    const refused = {
      code: 'config_invalid',
      message: expect.stringContaining(`writes to the topic ${log}`),
    };
    expect((await reads.check()).filter(({ severity }) => severity === 'error')).toMatchObject([
      { ...refused, fix: expect.stringContaining(`Leave ${log} out of topics`) },
    ]);
    reads.start();
    expect(await reads.outcome()).toMatchObject({ ...refused, recourse: 'fatal' });
    expect(reads.events).toEqual([]);
  });

  it('passes over what it writes where a pattern matches it, also what is made later', async () => {
    const prefix = under.name('p');
    await under.topic(1, `${prefix}a`);
    await under.put(`${prefix}a`, ['1']);
    await under.put(await under.topic(1, `${prefix}copy.a`), ['of 1']);
    const reads = stream({ topic_pattern: `${prefix}.*` }, `${prefix}copy.{topic}`);
    expect((await reads.check()).map(({ severity, message }) => `${severity} ${message}`)).toEqual(
      expect.arrayContaining([expect.stringMatching(`^info .*passed over: ${prefix}copy.a\\.`), 'info 1 topics, 1 partitions.']), // prettier-ignore
    );
    reads.start();
    await under.has(reads, 1);
    for (const late of ['copy.b', 'b']) await under.topic(1, prefix + late);
    await under.putByKcat(`${prefix}copy.b`, 0, 'of 2');
    await under.putByKcat(`${prefix}b`, 0, '2');
    await under.has(reads, 2);
    expect(reads.values()).toEqual([1, 2]);
    expect(await reads.lag()).toMatchObject({ backlogRecords: 0 });
  });

  it('reads nothing that another stream would bring back, also what is made later', async () => {
    const prefix = under.name('p');
    await under.topic(1, `${prefix}a`);
    await under.put(`${prefix}a`, ['1']);
    const reads = stream({ topic_pattern: `${prefix}.*` }, `of.${prefix}`);
    const brokers = under.kafka.brokers.map((one) => one.replace('127.0.0.1', 'localhost'));
    const topics = { only: `${prefix}b`, of: () => `${prefix}b`, may: (topic: string) => topic === `${prefix}b` };
    const back = { name: 'back', config: { topics: [`of.${prefix}`] }, from: 'conn_2', into: 'conn_2', topics, runs: true }; // prettier-ignore
    reads.neighbours = {
      all: () => Promise.resolve([{ ...back, config: { topics: ['other'] } }]),
      settings: (id) => Promise.resolve({ id, type: 'kafka', config: { brokers } }),
    };
    reads.start();
    await under.has(reads, 1);
    await reads.stop();
    reads.neighbours = { ...reads.neighbours, all: () => Promise.resolve([back]) };
    const message = `The stream would feed itself for ever: from ${prefix}a on it takes ${prefix}b to of.${prefix}, and "back" takes of.${prefix} to ${prefix}b.`;
    const found = (await reads.check()).filter(({ severity }) => severity === 'error');
    expect(found).toMatchObject([
      { code: 'config_invalid', message, fix: expect.stringContaining(`Leave ${prefix}a`) },
    ]);
    reads.start();
    expect(await reads.outcome()).toMatchObject({ code: 'config_invalid', message, recourse: 'fatal' });
    // From what is there no way leads back.
    const late = stream({ topic_pattern: `${prefix}[ab]` }, `to.{topic}`);
    const copies = { ...back, config: { topics: [`to.${prefix}b`] } };
    late.neighbours = { ...reads.neighbours, all: () => Promise.resolve([copies]) };
    late.start();
    await under.has(late, 1);
    await under.topic(1, `${prefix}b`);
    expect(await late.outcome()).toMatchObject({ code: 'config_invalid', message: expect.stringContaining('"back"') });

    // One that was there when it began, and is not any more when the topic comes.
    const goesOn = stream({ topic_pattern: `${prefix}[ac]` }, `past.{topic}`);
    const c = `${prefix}c`;
    const gone = { ...back, config: { topics: [`past.${c}`] }, topics: { only: c, of: () => c, may: (topic: string) => topic === c } }; // prettier-ignore
    let asked = 0;
    goesOn.neighbours = { ...reads.neighbours, all: () => Promise.resolve(asked++ === 0 ? [gone] : []) };
    goesOn.start();
    await under.has(goesOn, 1);
    await under.topic(1, c);
    await under.put(c, ['2']);
    await under.has(goesOn, 2);
  });

  it('reads a topic of the same name where its log is in another cluster', async () => {
    const topic = await under.topic();
    await under.put(topic, rising(3).map(String));
    const reads = stream({ topics: [topic] }, topic);
    const here = reads.logTopics!;
    reads.logTopics = async () => ({ ...(await here())!, clusterId: 'another' });
    reads.start();
    await under.has(reads, 3);
  });

  it('does not begin before it is known where it writes to, and is looked at meanwhile', async () => {
    const topic = await under.topic();
    const reads = stream({ topics: [topic] }, topic, ['127.0.0.1:1']);
    expect((await reads.check()).filter(({ severity }) => severity === 'error')).toEqual([]);
    reads.start();
    expect(await reads.outcome()).toMatchObject({ code: 'log_unavailable', recourse: 'retry' });
  });
});

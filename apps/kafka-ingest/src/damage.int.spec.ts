import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '@planasonix/testing';
import { TopicsUnderTest } from './topics-under-test.js';

describe('a topic that is damaged on the disk of its broker', () => {
  let world: TopicsUnderTest;
  beforeAll(async () => {
    world = await TopicsUnderTest.start();
  });
  afterEach(() => world.stopStreams());
  afterAll(() => world.stop());

  it('ends the stream at the place, with nothing passed over; it goes on behind it where a user says so (Invariant 2)', async () => {
    const topic = await world.topic(2);
    await world.put(topic, ['0']);
    await world.put(topic, ['to be damaged', 'with it']);
    await world.put(topic, ['3']);
    const [node] = world.kafka.nodes;
    await node!.shutDown();
    const file = join(world.kafka.dir, 'node1', 'log', `${topic}-0`, `${'0'.repeat(20)}.log`);
    const segment = readFileSync(file);
    segment.write('TO', segment.indexOf('to be damaged'));
    writeFileSync(file, segment);
    await node!.start();
    const s = world.stream({ topics: [topic] });
    s.start();
    expect(await s.outcome()).toMatchObject({
      ...{ code: 'event_unsupported', recourse: 'fatal' },
      message: `${topic}/0 can't be read from 1 on: the checksum of the batch at offset 1 is not right.`,
      hint: expect.stringContaining(`without 1 to 2, stop the stream and set its position (PUT …/position) to {"${topic}":{"0":3}}`), // prettier-ignore
    });
    expect(s.values()).toEqual([0]);
    // Again and again.
    s.start();
    expect(await s.outcome()).toMatchObject({ code: 'event_unsupported' });
    const settled = await s.look((source) =>
      source.settle!({ [topic]: { '0': 3 } }, s.kept, AbortSignal.timeout(5000)),
    );
    for (const [name, position] of settled) s.kept.set(name, position);
    s.start();
    await world.has(s, 2);
    expect(s.values()).toEqual([0, 3]);
    await eventually('nothing is behind', async () => (await s.lag()).backlogRecords === 0);
  });
});

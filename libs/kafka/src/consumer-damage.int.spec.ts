import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKafka, type Kafka } from '@planasonix/testing';
import { ClusterUnderTest } from './cluster-under-test.js';
import { crc32c } from './crc32c.js';

/** Of a batch: its length counts from behind itself; the checksum is of what follows it. */
const AT = { length: 8, crc: 17, attributes: 21 } as const;

/** The batches of a segment, in order; views. */
function batchesIn(segment: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < segment.length;) {
    const end = at + 12 + segment.readInt32BE(at + AT.length);
    found.push(segment.subarray(at, end));
    at = end;
  }
  return found;
}

function withCodec(batch: Buffer, codec: number): void {
  batch.writeInt16BE((batch.readInt16BE(AT.attributes) & ~0x07) | codec, AT.attributes);
  batch.writeUInt32BE(crc32c(batch, AT.attributes, batch.length), AT.crc);
}

describe('a batch that can not be read', () => {
  let server: Kafka;
  let kafka: ClusterUnderTest;
  beforeAll(async () => {
    server = await startKafka();
    kafka = new ClusterUnderTest(server);
  });
  afterAll(async () => {
    await kafka.close();
    await server.stop();
  });

  const DAMAGE: readonly (readonly [topic: string, damage: (batch: Buffer) => void, why: RegExp])[] = [
    [
      'flipped',
      (batch) => batch.writeUInt8(batch.at(-2)! ^ 0x01, batch.length - 2),
      /checksum .* offset 1 is not right/,
    ],
    ['codec-5', (batch) => withCodec(batch, 5), /codec 5 is not known/],
    ['codec-7', (batch) => withCodec(batch, 7), /codec 7 is not known/],
    // What it says of itself is not so.
    ...([1, 2, 3, 4] as const).map(
      (codec) => [`no-codec-${codec}`, (batch: Buffer) => withCodec(batch, codec), /./] as const,
    ),
  ];

  it('is an obstacle that names its place and reason, behind all that is before it; nothing is passed over (traps 24, 25)', async () => {
    for (const [topic] of DAMAGE) {
      await kafka.create(topic);
      for (const value of ['before', 'damaged', 'behind']) await kafka.put(topic, [`k:${value}`]);
    }
    const [node] = server.nodes;
    await node!.shutDown();
    for (const [topic, damage] of DAMAGE) {
      const file = join(server.dir, 'node1', 'log', `${topic}-0`, `${'0'.repeat(20)}.log`);
      const segment = readFileSync(file);
      damage(batchesIn(segment)[1]!);
      writeFileSync(file, segment);
    }
    await node!.start();
    for (const [topic, , why] of DAMAGE) {
      const cluster = kafka.cluster();
      const reader = kafka.reader(cluster);
      reader.add(await kafka.places(cluster, topic));
      expect([topic, (await reader.next(10_000))?.records.map(({ value }) => value!.toString())]).toEqual([
        topic,
        ['before'],
      ]);
      for (let again = 0; again < 2; again++)
        await expect(reader.next(10_000)).rejects.toMatchObject({
          obstacle: { kind: 'damaged', place: { topic, offset: 1 }, why: expect.stringMatching(why), next: 2 },
        });
    }
  });
});

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import avsc from 'avsc';
import { createTopics, eventually, startKafka, type Kafka } from '@planasonix/testing';
import { Kafka as Client, logLevel, Partitioners, type Producer } from 'kafkajs';
import protobuf from 'protobufjs';
import { StreamUnderTest } from '../stream-under-test.js';

const AVRO = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'line', type: 'shop.Line' },
  ],
};
const LINE = { type: 'record', name: 'shop.Line', fields: [{ name: 'n', type: 'int' }] };
const PROTO = 'syntax = "proto3"; import "common.proto"; message Paid { int64 id = 1; Money sum = 2; }';
const COMMON = 'syntax = "proto3"; message Money { string currency = 1; }';

/** As Confluent's registry answers. */
const ANSWERS: Readonly<Record<string, object>> = {
  '/base/schemas/types': ['JSON', 'PROTOBUF', 'AVRO'],
  '/base/schemas/ids/1': {
    schema: JSON.stringify(AVRO),
    references: [{ name: 'shop.Line', subject: 'line value', version: 3 }],
  },
  '/base/subjects/line%20value/versions/3': { subject: 'line value', version: 3, id: 9, schema: JSON.stringify(LINE) },
  '/base/schemas/ids/2': {
    schemaType: 'PROTOBUF',
    schema: PROTO,
    references: [{ name: 'common.proto', subject: 'common', version: 1 }],
  },
  '/base/subjects/common/versions/1': { schemaType: 'PROTOBUF', schema: COMMON },
  '/base/schemas/ids/3': { schemaType: 'JSON', schema: '{"type":"object","required":["n"]}' },
  '/base/schemas/ids/4': { schema: '{"type":"record"' },
};

describe('values whose schema lies in a registry', () => {
  let kafka: Kafka;
  let producer: Producer;
  let server: Server;
  let url: string;
  let down = false;
  const asked: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request.url!);
      const granted =
        request.headers.authorization === `Basic ${Buffer.from('reader:registry-word').toString('base64')}`;
      const found = ANSWERS[request.url!];
      response.statusCode = down ? 503 : !granted ? 401 : found ? 200 : 404;
      response.end(JSON.stringify(response.statusCode === 200 ? found : { message: 'no' }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`;
    kafka = await startKafka();
    const client = new Client({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
    producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const admin = client.admin();
    await admin.connect();
    await createTopics(
      admin,
      ['mixed', 'later', 'unknown', 'strict', 'refused'].map((topic) => ({ topic })),
    );
    await admin.disconnect();
  });
  afterAll(async () => {
    await producer.disconnect();
    await kafka.stop();
    server.close();
  });

  const auth = { username: 'reader', password: 'registry-word' };
  const stream = (topic: string, over: object = {}) =>
    new StreamUnderTest(
      `str_${topic}`,
      { topics: [topic], schema_registry: { url, auth }, ...over },
      { brokers: kafka.brokers },
    );
  const put = (topic: string, values: readonly (Buffer | string | null)[]) =>
    producer.send({ topic, messages: values.map((value) => ({ partition: 0, value })) });
  const wire = (id: number, body: Buffer | string) => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(id, 1);
    return Buffer.concat([head, Buffer.from(body)]);
  };
  const order = (id: number) => {
    const type = avsc.Type.forSchema({
      ...AVRO,
      fields: [AVRO.fields[0], { name: 'line', type: LINE }],
    } as avsc.Schema);
    return wire(1, type.toBuffer({ id, line: { n: 7 } }));
  };
  const paid = () => {
    const { root } = protobuf.parse(PROTO + COMMON.replace('syntax = "proto3";', ''), { keepCase: true });
    const type = root.lookupType('Paid');
    const body = type.encode(type.fromObject({ id: 5, sum: { currency: 'EUR' } })).finish();
    return wire(2, Buffer.concat([Buffer.from([0]), body]));
  };
  const aside = (of: StreamUnderTest) => of.aside.map(({ place, reason }) => `${place}: ${reason}`);

  it('are decoded to JSON, with what a schema refers to; others are what they are', async () => {
    await put('mixed', [
      order(1),
      paid(),
      wire(3, '{"n":1.10}'),
      '{"plain":1}',
      'text',
      null,
      wire(3, '{}'),
      wire(4, 'x'),
    ]);
    const s = stream('mixed');
    expect((await s.check()).find(({ code }) => code === 'schema_registry')).toMatchObject({ severity: 'info' });
    s.start();
    await eventually('all are there', () => s.events.length === 6 && s.aside.length === 2);
    expect(s.values()).toEqual([
      { id: 1, line: { n: 7 } },
      { id: 5, sum: { currency: 'EUR' } },
      { n: 1.1 },
      { plain: 1 },
      'text',
      null,
    ]);
    expect(s.events[2]!.data.toString()).toContain('"value":{"n":1.10},"value_encoding":"json"');
    expect(aside(s)).toEqual([
      'mixed/0 at 6: The value does not fit its JSON Schema.',
      'mixed/0 at 7: Schema 4 is not readable.',
    ]);
    await put('mixed', [order(2)]);
    await eventually('one more', () => s.events.length === 7);
    expect(asked.filter((path) => path.endsWith('/ids/1'))).toHaveLength(1);
    await s.stop();
  });

  it('wait for a registry that is away, and for a schema that it has not yet: nothing is passed over', async () => {
    await put('later', [order(1)]);
    const s = stream('later');
    down = true;
    s.start();
    expect(await s.outcome()).toMatchObject({
      ...{ code: 'source_unreachable', recourse: 'retry' },
      message: 'later/0 at 0 waits for schema 1: The schema registry answers 503 for schemas/ids/1.',
      hint: expect.not.stringContaining('PUT'),
    });
    down = false;
    s.start();
    await eventually('it is there', () => s.events.length === 1);
    await s.stop();
    expect(s.aside).toEqual([]);
  });

  it('of which one is not registered: it is named, and where to go on, once all before it is durable (Invariant 2)', async () => {
    await put('unknown', [order(1), order(2), wire(77, 'x'), order(3)]);
    const s = stream('unknown');
    const told = {
      ...{ code: 'source_unreachable', recourse: 'retry' },
      message: 'unknown/0 at 2 waits for schema 77: The schema registry answers 404 for schemas/ids/77.',
      hint: expect.stringMatching(/^Register schema 77, .* base64.* \(PUT …\/position\) to \{"unknown":\{"0":3\}\}\.$/),
    };
    let durable: () => void = () => undefined;
    s.ackAfter = new Promise((resolve) => (durable = resolve));
    s.start();
    await eventually('those before it came', () => s.events.length === 2);
    await eventually('the registry was asked', () => asked.includes('/base/schemas/ids/77'));
    // Of a longer way than the answer to that.
    await s.check();
    expect(s.failure).toBeNull();
    durable();
    expect(await s.outcome()).toMatchObject(told);
    s.start();
    expect(await s.outcome()).toMatchObject(told);
    const beyond = await s.look((source) =>
      source.settle!({ unknown: { '0': 3 } }, s.kept, AbortSignal.timeout(5_000)),
    );
    for (const [name, position] of beyond) s.kept.set(name, position);
    s.start();
    await eventually('the one behind it came', () => s.events.length === 3);
    await s.stop();
    expect(s.aside).toEqual([]);
    // Bytes that are taken as they are need no schema.
    const raw = stream('unknown', { format: 'base64' });
    raw.start();
    await eventually('all are there', () => raw.events.length === 4);
    await raw.stop();
  });

  it('are set aside in a fixed format where they are of another one', async () => {
    await put('strict', [order(1), paid(), '{"plain":1}']);
    const s = stream('strict', { format: 'avro' });
    s.start();
    await eventually('all are seen', () => s.events.length === 1 && s.aside.length === 2);
    expect(aside(s)).toEqual([
      'strict/0 at 1: Schema 2 is protobuf, not avro.',
      'strict/0 at 2: The value does not begin with the id of a schema.',
    ]);
    await s.stop();
  });

  it('say that credentials are refused, or the host is, without the secret', async () => {
    await put('refused', [order(1)]);
    const s = stream('refused', { schema_registry: { url, auth: { ...auth, password: 'not-it' } } });
    s.start();
    expect(await s.outcome()).toMatchObject({ code: 'auth_failed', recourse: 'fatal' });
    expect((await s.check()).find(({ code }) => code === 'auth_failed')).toMatchObject({ severity: 'error' });
    expect(s.lines.join('\n') + s.failure!.message).not.toMatch(/not-it|registry-word/);
    const metadata = stream('refused', { schema_registry: { url: 'http://169.254.169.254/latest' } });
    metadata.start();
    expect(await metadata.outcome()).toMatchObject({ code: 'host_forbidden', recourse: 'fatal' });
  });
});

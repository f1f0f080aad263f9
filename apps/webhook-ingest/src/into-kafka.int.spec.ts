import { TransactionalProducer } from '@planasonix/kafka';
import { eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import {
  ingestWorld,
  post,
  signedHeaders,
  type HookStream,
  type IngestWorld,
  type Instance,
} from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('streams whose log is in Kafka', () => {
  let world: IngestWorld;
  let kafka: Kafka;
  let connectionId: string;
  let [one, two]: Instance[] = [];

  beforeAll(async () => {
    [world, kafka] = await Promise.all([ingestWorld(), startKafka()]);
    const config = { brokers: [...kafka.brokers] };
    const of = { name: 'kafka', type: 'kafka', config, secrets: null };
    connectionId = (await world.connections.create(world.actor, of)).id;
    [one, two] = await Promise.all([world.instance(), world.instance()]);
  });
  afterAll(async () => {
    await world.end();
    await kafka.stop();
  });

  const output = (more: object = {}) => ({
    ...{ type: 'kafka', connectionId, topic: 'hooks.{stream}' },
    ...{ createTopics: { partitions: 2, replicationFactor: 1 }, ...more },
  });
  /** Ids, as librdkafka reads what is committed, once it is so many: a commit is seen some time after it was answered. */
  const ids = (stream: HookStream, count: number): Promise<string[]> =>
    eventually(`${count} in the topic`, async () => {
      const found = await committed(stream);
      return found.length >= count ? found : null;
    });
  async function committed({ id }: HookStream): Promise<string[]> {
    const read = ['-C', '-t', `hooks.${id}`, '-e', '-q', '-J', '-X', 'isolation.level=read_committed'];
    const lines = (await kcat(['-b', kafka.brokers.join(','), ...read])).toString().split('\n').slice(0, -1);
    return lines.map((line) => {
      const { headers } = JSON.parse(line) as { headers: string[] };
      return headers[headers.indexOf('ce_id') + 1]!;
    });
  }

  it('fifty equal posts at once, at two instances, are one event and fifty 200s (trap 29)', async () => {
    const stream = await world.running({}, output());
    const body = '{"n":1}';
    const headers = { ...signedHeaders(body), 'x-planasonix-event-id': 'evt_1' };
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => post(i % 2 ? one! : two!, stream, body, headers)),
    );
    const id = `${stream.id}/evt_1`;
    expect(answers.map(({ status, json }) => [status, json.id])).toEqual(answers.map(() => [200, id]));
    expect(answers.filter(({ json }) => json.duplicate !== true)).toHaveLength(1);
    expect(await ids(stream, 1)).toEqual([id]);
  });

  it('an array without an element is no event, known as a repeat, and what comes with it is written', async () => {
    const stream = await world.running({ expand_array: true }, output());
    const named = (body: string, id: string) => ({ ...signedHeaders(body), 'x-planasonix-event-id': id });
    const answers = await Promise.all([
      post(one!, stream, '[]', named('[]', 'none')),
      post(one!, stream, '[1,2]', named('[1,2]', 'two')),
    ]);
    expect(answers.map(({ status, json }) => [status, json.events])).toEqual([
      [200, 0],
      [200, 2],
    ]);
    expect((await post(two!, stream, '[]', named('[]', 'none'))).json).toEqual({ ...answers[0].json, duplicate: true });
    expect((await ids(stream, 2)).sort()).toEqual([`${stream.id}/two/0`, `${stream.id}/two/1`]);
  });

  it('nothing is confirmed once a stop is answered, and a repeat is still known after a start (Invariant 7)', async () => {
    const stream = await world.running({}, output());
    const headers = signedHeaders('{}');
    expect((await post(one!, stream, '{}', headers)).json).toMatchObject({ received: true });
    let [flooding, n] = [true, 0];
    const confirmed = new Set<string>();
    const flood = Promise.all(
      [one!, two!].map(async (at) => {
        while (flooding) {
          const answer = await post(at, stream, `{"n":${++n}}`).catch(() => null);
          if (answer?.status === 200) confirmed.add(answer.json.id);
        }
      }),
    );
    await eventually('both confirm', () => Promise.resolve(confirmed.size > 20));
    expect(await world.command(stream.id, 'stop')).toMatchObject({ status: 'stopped' });
    const log = world.logs.of(output() as never);
    const { events } = await log.totals(stream.id);
    const late = await Promise.all([one!, two!].map((at) => post(at, stream, '{}', headers)));
    expect(late.map(({ status }) => status)).toEqual([503, 503]);
    flooding = false;
    await flood;
    const found = await ids(stream, events);
    expect(found).toHaveLength(events);
    expect(new Set(found).size).toBe(events);
    expect([...confirmed].filter((id) => !found.includes(id))).toEqual([]);
    await world.command(stream.id, 'start');
    await eventually('it is open', async () => (await post(two!, stream, '{"after":1}')).status === 200);
    expect((await post(two!, stream, '{}', headers)).json).toMatchObject({ received: true, duplicate: true });
  });

  it('a stop that came to nothing half-way leaves a stream that takes deliveries in (Invariant 7)', async () => {
    const stream = await world.running({}, output());
    for (const at of [one!, two!]) expect((await post(at, stream, '{"n":1}')).status).toBe(200);
    // That it bars is in the journal then, and nothing that it would have said behind it.
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const write = TransactionalProducer.prototype.write;
    jest
      .spyOn(TransactionalProducer.prototype, 'write')
      .mockImplementationOnce(function (this: TransactionalProducer, parts) {
        return write.call(this, parts);
      })
      .mockRejectedValueOnce(new Error('the way to the cluster is cut'));
    await expect(world.command(stream.id, 'stop')).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(await world.row(stream.id)).toMatchObject({ status: 'running' });
    for (const at of [one!, two!]) expect((await post(at, stream, '{"n":2}')).status).toBe(200);
    expect(await world.command(stream.id, 'stop')).toMatchObject({ status: 'stopped' });
    expect((await post(one!, stream, '{"n":3}')).status).toBe(503);
  });

  it('what is wrong with its log is said when it is started and when it is checked, each with the fix', async () => {
    const missing = await world.create({}, output({ topic: 'nobody.made.it', createTopics: undefined }));
    await world.command(missing.id, 'start').catch(() => null);
    await eventually('it says so', async () => (await world.row(missing.id)).status === 'error');
    expect((await world.row(missing.id)).last_error).toMatchObject({ code: 'topic_missing' });
    const check = await world.asks.ask('webhook', { kind: 'check', streamId: missing.id }, 8_000);
    expect(check).toMatchObject({ ok: false, checks: [{ code: 'topic_missing', fix: expect.any(String) }] });
    const unconnected = await world.create({}, output({ connectionId: 'conn_none' }));
    await world.command(unconnected.id, 'start').catch(() => null);
    await eventually('it says so', async () => (await world.row(unconnected.id)).status === 'error');
    expect((await world.row(unconnected.id)).last_error).toMatchObject({
      code: 'config_invalid',
      hint: expect.stringContaining('connection of type kafka'),
    });
  });

  it('a delivery that the topic takes in no case is too large, and a sample and the answers are as in Redis', async () => {
    const stream = await world.running({}, output());
    const large = JSON.stringify({ a: 'x'.repeat(2_000_000) });
    expect((await post(one!, stream, large)).status).toBe(413);
    const sample = await world.asks.ask('webhook', { kind: 'sample', streamId: stream.id }, 8_000);
    expect(sample).toMatchObject({ kind: 'sent', status: 200, body: { received: true } });
    const log = world.logs.of(output() as never);
    const told = async () => (await log.answers!(stream.id)).join();
    await eventually('the user is told', async () => (await told()).includes('message_too_large'));
    expect(await log.totals(stream.id)).toMatchObject({ events: 1 });
    expect((await log.read(stream.id, { limit: 10 })).map(({ id }) => id)).toEqual(await ids(stream, 1));
  });
});

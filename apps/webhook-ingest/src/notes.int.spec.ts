import { SecretBox } from '@planasonix/store';
import { eventually } from '@planasonix/testing';
import {
  ingestWorld,
  post,
  signedHeaders,
  type HookStream,
  type IngestWorld,
  type Instance,
} from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('what users are told of deliveries', () => {
  let world: IngestWorld;
  let at: Instance;

  beforeAll(async () => {
    world = await ingestWorld();
    at = await world.instance();
  });
  afterAll(() => world.end());

  const notes = async ({ id }: HookStream): Promise<readonly (readonly [number, string | null])[]> =>
    (await world.log.answers!(id)).map((text) => JSON.parse(text)).map(({ status, reason }) => [status, reason]);
  const become = (stream: HookStream, wanted: Awaited<ReturnType<typeof notes>>) =>
    eventually(`they are ${JSON.stringify(wanted)}`, async () => {
      const found = JSON.stringify(await notes(stream));
      return wanted.every((one) => found.includes(JSON.stringify(one)));
    });
  const isKnown = (stream: HookStream) =>
    eventually('it is known', async () => (await post(at, stream, '"known"')).status === 503);
  const wrong = signedHeaders('{}', 'another secret');

  it('before a stream was ever started: what came and was refused, each once', async () => {
    const stream = await world.create();
    expect(await notes(stream)).toEqual([]);
    await isKnown(stream);
    expect((await post(at, stream, '{}', wrong)).status).toBe(404);
    await become(stream, [
      [404, 'signature_wrong'],
      [503, 'not_running'],
    ]);
    const before = await notes(stream);
    await world.command(stream.id, 'start');
    await eventually('it is served', async () => (await post(at, stream, '"taken"')).status === 200);
    await become(stream, [...before, [200, null]]);
    expect((await notes(stream)).filter(([status]) => status === 404)).toHaveLength(1);
    expect(await world.entries(stream.id)).toHaveLength(1);
  });

  it('after a stop, too', async () => {
    const stream = await world.running();
    await world.command(stream.id, 'stop');
    expect((await post(at, stream, '{}')).status).toBe(503);
    await eventually('it is stopped here', async () => (await post(at, stream, '{}', wrong)).status === 404);
    await become(stream, [
      [503, 'not_running'],
      [404, 'signature_wrong'],
    ]);
  });

  it('of a stream whose secrets can not be read (trap 35), running or not', async () => {
    const box = new SecretBox(Buffer.alloc(32, 9).toString('base64'));
    const seal = ({ id }: HookStream) =>
      world.store.query('UPDATE streams SET secrets = $2, updated_at = clock_timestamp() WHERE id = $1', [
        id,
        box.seal('[]', `streams:${id}`),
      ]);
    const [running, idle] = [await world.running(), await world.create()];
    await isKnown(idle);
    await Promise.all([seal(running), seal(idle)]);
    await eventually('come again', async () => (await post(at, running, '{}')).status === 503);
    await eventually('it is as if it were not there', async () => (await post(at, idle, '{}')).status === 404);
    await become(running, [[503, 'secrets_sealed']]);
    await become(idle, [[404, 'secrets_sealed']]);
  });

  it('of a stream whose config is refused (Invariant 7)', async () => {
    const stream = await world.running();
    await world.store.query(
      `UPDATE streams SET config = config || '{"ordering_key":{"header":"Host"}}', updated_at = clock_timestamp() WHERE id = $1`,
      [stream.id],
    );
    await eventually('come again', async () => (await post(at, stream, '{}')).status === 503);
    await become(stream, [[503, 'config_invalid']]);
  });

  it('while the log is away: to come again, and why once it is back', async () => {
    const stream = await world.running();
    await world.redis.kill();
    const answer = await post(at, stream, '{}').finally(() => world.redis.start());
    expect([answer.status, answer.json.error.code, answer.headers.get('retry-after')]).toEqual([
      ...[503, 'not_durable', '1'],
    ]);
    await become(stream, [[503, 'log_unavailable']]);
    await eventually('it is taken in', async () => (await post(at, stream, '{}')).status === 200);
  });

  it('of a stream whose log was lost', async () => {
    const stream = await world.running();
    expect((await post(at, stream, '{}')).status).toBe(200);
    await world.redis.client().del(`plnx:events:{${stream.id}}`, `plnx:log:{${stream.id}}`);
    expect((await post(at, stream, '{"next":1}')).status).toBe(503);
    await eventually('it says so', async () => (await world.row(stream.id)).status === 'error');
    expect((await post(at, stream, '{"later":1}')).status).toBe(503);
    await become(stream, [[503, 'not_running']]);
  });
});

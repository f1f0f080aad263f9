import { makeWorld, type World } from './world.js';
import { start, until } from './shop.js';

jest.setTimeout(300_000);

const CANARY = 'c4n4ry-7f3e-s3cret';
/** The middle of it in base64, however it lies in what is around it. */
const CODED = [0, 1, 2].map((before) =>
  Buffer.from(`${'x'.repeat(before)}${CANARY}`)
    .toString('base64')
    .slice(before === 0 ? 0 : 4, -4),
);
const tells = (text: string): boolean => [CANARY, ...CODED].some((one) => text.includes(one));

describe('a secret stays secret (trap 35)', () => {
  let world: World;
  const answers: string[] = [];
  /** Everything that was said to Redis: jobs that are done are not there at the end. */
  const heard: string[] = [];
  beforeAll(async () => {
    world = await makeWorld({ CONNECTORS: '', LOG_LEVEL: 'debug' });
    await world.source.query('CREATE TABLE orders(id bigint PRIMARY KEY, v text, hidden text)');
    const monitor = await world.redis.monitor();
    monitor.on('monitor', (_time: string, args: string[]) => heard.push(args.join(' ')));
    stopHearing = () => monitor.disconnect();
    // The canary is the real password of the source.
    await world.source.query(`ALTER USER postgres PASSWORD '${CANARY}'`);
  });
  let stopHearing = () => {};
  afterAll(async () => {
    stopHearing();
    await world?.end();
  });

  async function api(method: string, route: string, body?: unknown, headers?: Record<string, string>) {
    const answer = await world.stack.api(method, route, body, headers);
    answers.push(answer.text);
    return answer;
  }

  it('in no answer, log line, Redis key, table or error', async () => {
    const config = {
      host: '127.0.0.1',
      port: world.sourceServer.port,
      database: 'src',
      user: 'postgres',
      password: CANARY,
      sslMode: 'disable',
    };
    const named = { 'x-request-id': 'req-of-the-good-one' };
    const good = await api('POST', '/api/connections', { name: 'good', type: 'postgres', config }, named);
    const bad = await api('POST', '/api/connections', {
      name: 'bad',
      type: 'postgres',
      config: { ...config, port: 1 },
    });
    const wrong = await api('POST', '/api/connections', {
      name: 'wrong',
      type: 'postgres',
      config: { ...config, user: 'nobody-here' },
    });
    await api('POST', '/api/connections/test', { name: 'test', type: 'postgres', config });
    for (const made of [good, bad, wrong]) {
      expect(made.status).toBe(201);
      await api('GET', `/api/connections/${made.id}`);
      await api('POST', `/api/connections/${made.id}/test`);
      const stream = await api('POST', '/api/streams', {
        name: `over ${made.json.name}`,
        sourceType: 'postgres_cdc',
        connectionId: made.id,
        pipelineId: world.pipelineId,
        config: { tables: ['public.orders'], exclude_columns: { 'public.orders': ['hidden'] } },
      });
      await api('POST', `/api/streams/${stream.id}/check`);
      if (made === good) {
        await start(world.stack, stream.id);
        await world.source.query('INSERT INTO orders VALUES (1, $1, $2)', ['v', CANARY]);
        await world.source.query('UPDATE orders SET hidden = $1', [`${CANARY}!`]);
        await until(world.stack, stream.id, 'running');
      } else await api('POST', `/api/streams/${stream.id}/start`);
      await api('GET', `/api/streams/${stream.id}`);
      for (const what of ['events', 'metrics?window=1m', 'position', 'snapshots'])
        await api('GET', `/api/streams/${stream.id}/${what}`);
    }
    await api('PUT', `/api/connections/${good.id}`, {
      name: 'good',
      type: 'postgres',
      config: { ...config, password: `${CANARY}-2` },
    });
    await api('GET', '/api/audit-log');
    await api('GET', '/api/connections');
    await api('GET', '/api/streams/summary');

    expect(answers.filter(tells)).toEqual([]);
    expect(world.stack.log().split('\n').filter(tells)).toEqual([]);
    expect(heard.length).toBeGreaterThan(100);
    expect(heard.filter(tells)).toEqual([]);
    expect(world.stack.log()).not.toContain(world.stack.key);
    expect(world.stack.log()).toContain('"request_id":"req-of-the-good-one"');

    for (const key of await world.redis.keys('*')) {
      const type = await world.redis.type(key);
      const held =
        type === 'hash'
          ? await world.redis.hgetall(key)
          : type === 'stream'
            ? await world.redis.xrange(key, '-', '+')
            : type === 'string'
              ? await world.redis.get(key)
              : type === 'list'
                ? await world.redis.lrange(key, 0, -1)
                : type === 'zset'
                  ? await world.redis.zrange(key, 0, -1)
                  : await world.redis.smembers(key);
      expect(`${key} ${JSON.stringify(held)}`).not.toContain(CANARY);
    }
    const store = await world.postgres.connect('meta');
    const tables = await store.query(
      "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = 'public'",
    );
    for (const { name } of tables.rows as { name: string }[]) {
      const rows = await store.query(`SELECT to_jsonb(t)::text AS row FROM ${name} t`);
      for (const { row } of rows.rows as { row: string }[]) expect(`${name} ${row}`).not.toContain(CANARY);
    }
    await store.end();
  });
});

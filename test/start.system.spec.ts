import { cpSync, readFileSync, realpathSync, statSync, symlinkSync } from 'node:fs';
import { createConnection } from 'node:net';
import path from 'node:path';
import { eventually, freePort, guardFolder, tempDir } from '@planasonix/testing';
import { launched } from './launched.js';
import { request } from './stack.js';

jest.setTimeout(300_000);

/** A checkout with no state of its own: nobody's `.planasonix` is used or left behind. */
function freshCheckout(): string {
  const root = tempDir('start');
  cpSync('dist', path.join(root, 'dist'), { recursive: true });
  for (const folder of ['apps', 'node_modules']) symlinkSync(path.resolve(folder), path.join(root, folder));
  return root;
}

/** @param env all of the environment but PATH and HOME. */
function start(root: string, env: Record<string, string>, args: readonly string[] = ['start']) {
  const { PATH = '', HOME = '' } = process.env;
  return launched([path.join(root, 'dist/standalone/main.cjs'), ...args], { PATH, HOME, ...env }, root);
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

describe('npm start with an empty environment', () => {
  it('brings its own servers, prints the key once, honours what is set, and SIGTERM ends all of it within 15 s', async () => {
    const root = freshCheckout();
    const port = await freePort();
    const { child, out, ended, left } = start(root, {
      ...{ PORT: String(port), INGEST_PORT: String(await freePort()) },
      ...{ INGEST_URL: 'https://hooks.example.com/in/', RATE_LIMIT_PER_MINUTE: '77' },
    });
    const key = await eventually('it is ready', () => /shown this once: (plnx_live_[\w-]{43}) /.exec(out.text)?.[1], {
      timeoutMs: 120_000,
    });
    const data = realpathSync(path.join(root, '.planasonix/postgres'));
    if (!data.startsWith(root)) guardFolder(path.dirname(data));
    expect(statSync(path.join(root, '.planasonix/encryption-key')).mode & 0o777).toBe(0o600);

    const api = (method: string, route: string, body?: object) =>
      request(`http://127.0.0.1:${port}`, key, method, route, body);
    const pipeline = await api('POST', '/api/pipelines', { name: 'hooks' });
    expect(pipeline.headers.get('x-ratelimit-limit')).toBe('77');
    const stream = await api('POST', '/api/streams', {
      ...{ name: 'hooks', sourceType: 'webhook', pipelineId: pipeline.id },
      config: { auth: { type: 'none' } },
    });
    expect(stream.a.ingest_url).toMatch(/^https:\/\/hooks\.example\.com\/in\/ingest\/[\w-]{22,}$/);

    const here = { host: '127.0.0.1', port, database: 'd', user: 'u', password: 'p' };
    const connection = await api('POST', '/api/connections', { name: 'here', type: 'postgres', config: here });
    expect(connection.status).toBe(201);

    const began = performance.now();
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(out.text.split(key)).toHaveLength(2);
    const servers = JSON.parse(readFileSync(path.join(root, '.planasonix/ports.json'), 'utf8')) as Record<
      string,
      number
    >;
    expect(Object.keys(servers).sort()).toEqual(['postgres', 'redis']);
    for (const each of [port, ...Object.values(servers)]) expect(await listens(each)).toBe(false);
    await left();

    // Once is once: the key that it has is the key, and nobody is shown it again.
    const ingest = await freePort();
    const again = start(root, {
      ...{ PORT: String(port), INGEST_PORT: String(ingest), OUTBOUND_POLICY: 'public-only' },
      ...{ ENCRYPTION_KEY: Buffer.alloc(32, 9).toString('base64') },
    });
    await eventually(
      'it is ready again',
      async () => (await api('GET', '/api/streams').catch(() => null))?.status === 200,
      {
        timeoutMs: 120_000,
      },
    );
    const refused = await api('POST', '/api/connections/test', { type: 'postgres', config: here });
    expect(refused.json.error).toMatchObject({
      code: 'host_forbidden',
      hint: expect.stringMatching(/OUTBOUND_POLICY/),
    });
    // Sealed with the key of before, which this one does not know.
    const unread = await api('POST', `/api/connections/${connection.id}/test`);
    expect(unread.json).toMatchObject({ ok: false, checks: [{ code: 'secrets_sealed' }] });
    const door = `http://127.0.0.1:${ingest}${new URL(stream.a.ingest_url as string).pathname.replace('/in', '')}`;
    // It is stopped, and needs no proof to be told so.
    expect((await fetch(door, { method: 'POST' })).status).toBe(503);
    again.child.kill('SIGINT');
    expect(await again.ended).toBe(0);
    expect(again.out.text).not.toContain('plnx_live_');
    await again.left();
  });
});

describe('npm start with a wrong environment', () => {
  it('says which variable is wrong and ends: starting the app again would change nothing', async () => {
    const root = freshCheckout();
    const { out, ended, left } = start(root, {
      ...{ PORT: String(await freePort()), INGEST_PORT: String(await freePort()), OUTBOUND_POLICY: 'whatever' },
    });
    expect(await ended).toBe(1);
    expect(out.text).toContain('OUTBOUND_POLICY has to be allow-private or public-only');
    expect(out.text).not.toContain('started again');
    await left();
  });
});

describe('npx nx serve', () => {
  it('runs one app over servers of its own, and SIGTERM ends all of it', async () => {
    const root = freshCheckout();
    const port = await freePort();
    const { child, out, ended, left } = start(root, { HEALTH_PORT: String(port) }, ['serve', 'postgres-cdc']);
    const ask = (where: string) => fetch(`http://127.0.0.1:${port}/health/${where}`).catch(() => null);
    await eventually('it is ready', async () => (await ask('ready'))?.ok === true, { timeoutMs: 120_000 });
    const data = realpathSync(path.join(root, '.planasonix/postgres'));
    if (!data.startsWith(root)) guardFolder(path.dirname(data));
    expect((await ask('live'))?.status).toBe(200);
    expect(out.text).not.toMatch(/^(?!postgres-cdc |standalone |API key|$)/m);
    const servers = JSON.parse(readFileSync(path.join(root, '.planasonix/ports.json'), 'utf8')) as object;
    const ports = Object.values(servers) as number[];
    for (const each of ports) expect(await listens(each)).toBe(true);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    for (const each of [port, ...ports]) expect(await listens(each)).toBe(false);
    await left();
  });

  it('names the apps that there are for one that is none', async () => {
    const { out, ended } = start(freshCheckout(), {}, ['serve', 'nonsense']);
    expect(await ended).not.toBe(0);
    expect(out.text).toMatch(/name an app: .*api-gateway.*postgres-cdc/);
  });
});

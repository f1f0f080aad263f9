import { once } from 'node:events';
import { connect } from 'node:net';
import { asLog, createLogger } from '@planasonix/service';
import { eventually, freePort } from '@planasonix/testing';
import {
  ingestWorld,
  post,
  signedHeaders,
  type HookStream,
  type IngestWorld,
  type Instance,
} from './ingest-under-test.js';

jest.setTimeout(120_000);

const CANARY = 'c4n4ry';
const SECRET = `${CANARY} of a secret`;
const TOKEN = `${CANARY}.of.a.token`;
const BASIC = Buffer.from(`${CANARY}:${SECRET}`).toString('base64');
/** Well formed; nobody has its key. */
const JWT = [{ alg: 'RS256', kid: CANARY }, { sub: CANARY }]
  .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  .concat(CANARY)
  .join('.');
const BODY = JSON.stringify({ note: CANARY, challenge: CANARY });
const NOTE = { 'x-note': CANARY };

/** Signatures that were sent. */
const proofs: string[] = [];
function signed(body: string | Buffer = BODY, secret = SECRET, atMs = Date.now()): Record<string, string> {
  const headers = signedHeaders(body, secret, atMs);
  proofs.push(headers['x-planasonix-signature']!.slice(3));
  return headers;
}
const preset = (name: string, ...secrets: readonly string[]) => ({ type: 'preset', preset: name, secrets });
const ours = { auth: preset('planasonix', SECRET) };

describe('the log of the door, at its finest (trap 35)', () => {
  const lines: string[] = [];
  const log = asLog(createLogger('webhook-ingest', 'trace', { write: (line) => void lines.push(line) }));
  let world: IngestWorld;
  let at: Instance;
  const streams: HookStream[] = [];

  beforeAll(async () => {
    world = await ingestWorld(log);
    at = await world.instance();
  });
  afterAll(() => world.end());

  async function running(config: Record<string, unknown>, output?: object): Promise<HookStream> {
    const stream = await world.running(config, output);
    streams.push(stream);
    return stream;
  }
  const logged = (text: string) => Promise.resolve(lines.some((line) => line.includes(text)));
  const send = async (to: { readonly token: string }, headers: Record<string, string>, body: string | Buffer = BODY) =>
    (await post(at, to, body, { ...NOTE, ...headers })).status;
  /** Bytes as they are. @returns the first line of what came back */
  async function raw(bytes: string): Promise<string> {
    const socket = connect(Number(new URL(at.base).port), '127.0.0.1', () => socket.end(bytes));
    let back = '';
    socket.on('data', (chunk: Buffer) => (back += chunk.toString())).on('error', () => undefined);
    await once(socket, 'close');
    return back.split('\r\n')[0]!;
  }

  it('holds no body, no header, no secret, no token and no address of a stream, whatever the answer', async () => {
    const full = { type: 'redis_stream', retention: { max_entries: 1, on_full: 'block' } };
    const stream = await running({ ...ours, max_body_bytes: 10_000 });
    const parted = await running({ ...ours, expand_array: true });
    const [bearer, basic] = [
      await running({ auth: { type: 'bearer', tokens: [TOKEN] } }),
      await running({ auth: { type: 'basic', users: [{ username: CANARY, password: SECRET }] } }),
    ];
    const keys = `http://127.0.0.1:${await freePort()}/${CANARY}?key=${CANARY}`;
    const jwt = await running({ auth: { type: 'jwt', jwks_url: keys, issuer: CANARY, audience: CANARY } });
    const [slack, room] = [await running({ auth: preset('slack', SECRET) }), await running(ours, full)];
    const limited = await running({ ...ours, rate_limit_per_second: 1 });
    const stopped = await running(ours);
    await world.command(stopped.id, 'stop');
    await eventually('it is stopped', () => Promise.resolve(!at.serves(stopped.id)));

    const gzip = { 'content-encoding': 'gzip' };
    const got: Record<string, unknown> = {
      taken: await send(stream, signed()),
      again: await send(stream, signed()),
      'with its token': await send(bearer, { authorization: `Bearer ${TOKEN}` }),
      'with its password': await send(basic, { authorization: `Basic ${BASIC}` }),
      'not JSON': await send(parted, signed(`[${CANARY}`), `[${CANARY}`),
      'not packed': await send(stream, { ...gzip, ...signed() }),
      'signed by nobody': await send(stream, {}),
      'signed wrong': await send(stream, signed(BODY, `${CANARY} of another secret`)),
      'too early': await send(stream, signed(BODY, SECRET, Date.now() + 900_000)),
      'a wrong token': await send(bearer, { authorization: `Bearer ${CANARY}` }),
      'a wrong password': await send(basic, { authorization: `Basic ${Buffer.from(CANARY).toString('base64')}` }),
      'keys out of reach': await send(jwt, { authorization: `Bearer ${JWT}` }),
      'a handshake of nobody': await send(slack, { 'x-slack-signature': CANARY, 'x-slack-request-timestamp': CANARY }),
      'no stream': await send({ token: `${CANARY}?${CANARY}` }, signed()),
      'another method': (await fetch(`${at.base}/ingest/${stream.token}?${CANARY}`, { headers: NOTE })).status,
      'too large': await send(stream, signed(), CANARY.repeat(2_000)),
      'packed otherwise': await send(stream, { 'content-encoding': CANARY }),
      'with room': await send(room, signed('1'), '1'),
      'without room': await send(room, signed()),
      'over the rate': Math.max(...(await Promise.all(Array.from({ length: 20 }, () => send(limited, signed()))))),
      'not running': await send(stopped, signed()),
      'no HTTP': await raw(`${CANARY} / ${CANARY}\r\n\r\n`),
      'headers without end': await raw(`POST /ingest/${stream.token} HTTP/1.1\r\nx: ${CANARY.repeat(9_000)}\r\n\r\n`),
      'cut short': await raw(`POST /ingest/${stream.token} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n${CANARY}`),
    };
    const told = async () => JSON.stringify(await Promise.all(streams.map(({ id }) => world.log.answers!(id))));
    await eventually('the user is told of them', async () => (await told()).includes('signature_wrong'));
    await world.redis.kill();
    got['not durable'] = await send(stream, signed('"late"'), '"late"');
    await world.redis.start();
    expect(got).toEqual({
      ...{ taken: 200, again: 200, 'with its token': 200, 'with its password': 200 },
      ...{ 'not JSON': 400, 'not packed': 400 },
      ...{ 'signed by nobody': 401, 'signed wrong': 401, 'too early': 401, 'a wrong token': 401 },
      ...{ 'a wrong password': 401, 'keys out of reach': 503, 'a handshake of nobody': 401 },
      ...{ 'no stream': 404, 'another method': 405, 'too large': 413, 'packed otherwise': 415 },
      ...{ 'with room': 200, 'without room': 429, 'over the rate': 429, 'not running': 503 },
      ...{ 'no HTTP': 'HTTP/1.1 400 Bad Request', 'cut short': expect.any(String), 'not durable': 503 },
      'headers without end': 'HTTP/1.1 431 Request Header Fields Too Large',
    });

    // A secret that is no key, and a store that is gone: what goes wrong is told at length.
    const keyless = await world.create({ auth: preset('sendgrid', SECRET) });
    streams.push(keyless);
    await world.command(keyless.id, 'start').catch(() => null);
    await eventually('it is refused', async () => (await world.row(keyless.id)).last_error !== null);
    const rows = JSON.stringify(
      await Promise.all(streams.map(({ id }) => world.row(id).then((row) => row.last_error))),
    );
    const notes = await told();
    await world.postgres.kill();
    await eventually('it is missed', () => logged('the store could not be looked at'));
    await world.postgres.start();

    expect(await Promise.all(['stream open', 'a stream can not be served'].map(logged))).toEqual([true, true]);
    expect(notes).toContain('signature_wrong');
    // What nobody else is told of.
    await at.end();
    const strays = lines.find((line) => line.includes('reached no stream'))!;
    expect(JSON.parse(strays)).toMatchObject({ address_unknown: 1, no_http: 1, headers_too_large: 1 });
    const all = [...lines, rows, notes].join('\n');
    const secrets = [CANARY, JWT, BASIC, ...proofs, ...streams.map(({ token }) => token)];
    expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
  });
});

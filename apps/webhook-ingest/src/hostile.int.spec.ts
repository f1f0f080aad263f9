import { createConnection } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
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

describe('hostile and odd input', () => {
  let world: IngestWorld;
  let at: Instance;
  let stream: HookStream;

  beforeAll(async () => {
    world = await ingestWorld();
    at = await world.instance();
    stream = await world.running({ auth: { type: 'none' }, max_body_bytes: 100_000 });
    await eventually('it is served', async () => (await post(at, stream, '"first"')).status === 200);
  });
  afterAll(() => world.end());

  const last = async () => JSON.parse((await world.entries(stream.id)).at(-1)!.data);
  const path = () => `/ingest/${stream.token}`;

  /** Sends bytes as they are; resolves with all that came back when the connection has ended or `withinMs` has passed. */
  const raw = (bytes: string | Buffer, withinMs = 3_000): Promise<string> =>
    new Promise((resolve) => {
      const socket = createConnection({ port: Number(new URL(at.base).port), host: '127.0.0.1' }, () =>
        socket.write(bytes),
      );
      const chunks: Buffer[] = [];
      const end = () => {
        socket.destroy();
        resolve(Buffer.concat(chunks).toString());
      };
      socket.setTimeout(withinMs, end);
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('close', end);
      socket.on('error', end);
    });
  const posted = (headers: readonly string[], body: string) =>
    `POST ${path()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n${body}`;

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
  ])('takes %s apart, and checks the proof over the bytes as they were sent', async (encoding, pack) => {
    const signed = await world.running();
    const body = `{"packed":"${encoding} ${pack.name}"}`;
    const packed = pack(body);
    await eventually('it is served', async () => {
      const headers = { 'content-encoding': encoding, ...signedHeaders(packed) };
      return (await post(at, signed, packed, headers)).status === 200;
    });
    const [entry] = await world.entries(signed.id);
    const data = JSON.parse(entry!.data);
    expect(data.body).toEqual(JSON.parse(body));
    // What they say is not true of the body of the event.
    const names = data.headers.map(([name]: readonly [string]) => name.toLowerCase());
    expect(names).toContain('content-type');
    expect(names).not.toEqual(expect.arrayContaining(['content-encoding']));
    expect(names).not.toEqual(expect.arrayContaining(['content-length']));
  });

  it('headers are not multiplied by the parts of a small body, and say so', async () => {
    const parted = await world.running({ auth: { type: 'none' }, expand_array: true });
    await eventually('it is served', async () => (await post(at, parted, '[1]')).status === 200);
    const headers = Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`x-${i}`, 'v'.repeat(7_000)]));
    const ones = (n: number) => JSON.stringify(Array(n).fill(1));
    const answer = await post(at, parted, ones(10_000), headers);
    expect([answer.status, answer.json.error.code]).toEqual([413, 'parts_too_large']);
    expect(await world.log.depth(parted.id)).toBe(1);
    expect((await post(at, parted, ones(500), headers)).json).toMatchObject({ events: 500 });
    expect((await post(at, parted, ones(10_000))).json).toMatchObject({ events: 10_000 });
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
  ])('a bomb in %s is inflated no further than a body may be (trap 30)', async (encoding, pack) => {
    const bomb = pack(Buffer.alloc(50_000_000));
    expect(bomb.length).toBeLessThan(100_000);
    const headers = { 'content-encoding': encoding };
    const depth = await world.log.depth(stream.id);
    const before = process.memoryUsage().rss;
    const answer = await post(at, stream, bomb, headers);
    expect([answer.status, answer.json.error.code]).toEqual([413, 'too_large']);
    expect(process.memoryUsage().rss - before).toBeLessThan(40_000_000);
    // Cut short within the limit it is broken, and beyond it too large.
    const small = pack(Buffer.from(JSON.stringify({ some: 'text'.repeat(100) })));
    expect((await post(at, stream, small.subarray(0, -8), headers)).status).toBe(400);
    expect((await post(at, stream, bomb.subarray(0, -8), headers)).status).toBe(413);
    expect(await world.log.depth(stream.id)).toBe(depth);
    expect((await post(at, stream, small, headers)).status).toBe(200);
  });

  it('what is packed in another way, or twice, is refused', async () => {
    for (const encoding of ['gzip, gzip', 'zstd', 'compress', 'br, identity', 'gzip;q=1'])
      expect([encoding, (await post(at, stream, 'x', { 'content-encoding': encoding })).status]).toEqual([
        encoding,
        415,
      ]);
  });

  it('a body over the limit is 413, said or not', async () => {
    expect((await post(at, stream, Buffer.alloc(100_001, 32))).status).toBe(413);
    expect((await post(at, stream, Buffer.alloc(100_000, 32))).status).toBe(200);
    const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
    const answer = await raw(posted(['Transfer-Encoding: chunked'], chunk.repeat(8)));
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  it('who is still sending a body that is too large gets the answer, and who never stops is cut off', async () => {
    const chunks = () => new ReadableStream({ pull: (to) => to.enqueue(Buffer.alloc(65_536)) }, { highWaterMark: 0 });
    for (let i = 0; i < 10; i++) {
      expect((await post(at, stream, Buffer.alloc(8_000_000))).status).toBe(413);
      const endless = { method: 'POST', body: chunks(), duplex: 'half' } as RequestInit;
      expect((await fetch(at.base + path(), endless)).status).toBe(413);
    }
    const deaf = createConnection({ port: Number(new URL(at.base).port), host: '127.0.0.1' });
    deaf.on('error', () => undefined);
    deaf.write(posted(['Content-Length: 1000000000'], '').replace('Connection: close\r\n', ''));
    await eventually('it is cut off', () => {
      if (!deaf.destroyed) deaf.write('x');
      return Promise.resolve(deaf.destroyed);
    });
  });

  it('only a POST is a delivery', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await fetch(at.base + path(), { method });
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, 'POST']);
    }
    for (const url of ['/', '/ingest', '/ingest/', `${path()}/more`, '/ingest/%ff', `/ingest/${'x'.repeat(5_000)}`])
      expect([url, (await fetch(at.base + url, { method: 'POST' })).status]).toEqual([url, 404]);
  });

  it('numbers, repeated keys, odd names and lone surrogates stay the text that came (trap 31)', async () => {
    const body = String.raw`{"n":9007199254740993.10,"a":1,"a":2,"__proto__":{"x":1},"constructor":null,"s":"\ud800"}`;
    expect((await post(at, stream, body)).status).toBe(200);
    expect((await world.entries(stream.id)).at(-1)!.data.startsWith(`{"body":${body},"body_encoding":"json",`)).toBe(
      true,
    );
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it('what is not JSON is text, and what is not text is base64 (trap 31)', async () => {
    await post(at, stream, '{"broken":');
    expect(await last()).toMatchObject({ body: '{"broken":', body_encoding: 'text' });
    await post(at, stream, 'a=1&b=2', { 'content-type': 'application/x-www-form-urlencoded' });
    expect(await last()).toMatchObject({ body: 'a=1&b=2', body_encoding: 'text' });
    await post(at, stream, Buffer.from([0xff, 0x00, 0xc3]));
    expect(await last()).toMatchObject({ body: '/wDD', body_encoding: 'base64' });
    await post(at, stream, '['.repeat(50_000));
    expect(await last()).toMatchObject({ body_encoding: 'text' });
    await post(at, stream, '['.repeat(500) + ']'.repeat(500));
    expect(await last()).toMatchObject({ body_encoding: 'text' });
  });

  it.each([
    ';;;',
    'text',
    '*/*',
    'application/json; charset=utf-7',
    `x/${'y'.repeat(5_000)}`,
    'application/json\u00e9',
  ])('an absurd content type is no reason to lose a delivery: %s', async (type) => {
    const answer = await raw(posted([`Content-Type: ${type}`, 'Content-Length: 2'], '{}'));
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
  });

  it.each([
    ['two lengths', ['Content-Length: 2', 'Content-Length: 3'], '{}'],
    ['a length and chunks', ['Content-Length: 2', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
    ['a length that is none', ['Content-Length: +2'], '{}'],
    ['chunks that are none', ['Transfer-Encoding: chunked'], 'zz\r\n{}\r\n0\r\n\r\n'],
    ['an encoding that is none', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'],
    ['an encoding beside chunks', ['Transfer-Encoding: gzip, chunked'], '2\r\n{}\r\n0\r\n\r\n'],
    ['a folded header', ['X-A: 1', ' Content-Length: 2'], '{}'],
  ])('%s are refused, and nothing is taken in', async (_, headers, body) => {
    const depth = await world.log.depth(stream.id);
    expect(await raw(posted(headers, body))).toMatch(/^HTTP\/1.1 400 /);
    expect(await world.log.depth(stream.id)).toBe(depth);
  });

  it('headers without end are refused', async () => {
    const many = Array.from({ length: 2_000 }, (_, i) => `X-${i}: ${'v'.repeat(100)}`);
    expect(await raw(posted(many, ''))).toMatch(/^HTTP\/1.1 431 /);
  });

  it('a body that is cut short is no event', async () => {
    const depth = await world.log.depth(stream.id);
    await raw(posted(['Content-Length: 1000'], '{"half":'), 300);
    expect(await world.log.depth(stream.id)).toBe(depth);
  });

  it('requests that are sent without waiting are answered in order', async () => {
    const one = (n: number, close: boolean) =>
      `POST ${path()} HTTP/1.1\r\nHost: x\r\n${close ? 'Connection: close\r\n' : ''}Content-Length: ${String(n).length}\r\n\r\n${n}`;
    const answer = await raw(Array.from({ length: 500 }, (_, i) => one(1_000 + i, i === 499)).join(''));
    expect(answer.match(/HTTP\/1.1 200 /g)).toHaveLength(500);
  });

  it('whoever sends slowly is cut off, and holds up nobody (trap 30)', async () => {
    const [headers, body] = [
      raw('POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ', 30_000),
      raw(posted(['Content-Length: 10'], '{'), 30_000),
    ].map(async (answer) => {
      const began = performance.now();
      return [(await answer).slice(0, 13), performance.now() - began] as const;
    });
    expect((await post(at, stream, '{"beside":1}')).status).toBe(200);
    const [[said, after], [bodySaid, bodyAfter]] = [await headers!, await body!];
    expect([said, bodySaid]).toEqual(['HTTP/1.1 408 ', 'HTTP/1.1 408 ']);
    expect(after).toBeLessThan(20_000);
    expect(bodyAfter).toBeLessThan(25_000);
  });
});

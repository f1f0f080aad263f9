import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { systemClock, type Clock } from '@planasonix/core';
import { eventually } from '@planasonix/testing';
import type { FastifyInstance } from 'fastify';
import { received } from './answer.js';
import type { Ingest } from './ingest.js';
import { ingestServer } from './server.js';
import { Strays, type Stray } from './strays.js';

describe('what reaches no stream', () => {
  it('is told by its kinds and numbers, once a minute while there is any', async () => {
    const [lines, slept]: [unknown[], number[]] = [[], []];
    let minute = 0;
    const sleep = (ms: number) => {
      slept.push(ms);
      if (minute++ === 0) for (let i = 0; i < 3; i++) strays.count('address_unknown');
      if (minute === 3) strays.count('no_http');
      return Promise.resolve(minute < 5);
    };
    const clock: Clock = { ...systemClock, sleep };
    const log = { debug: () => {}, warn: () => {}, error: () => {}, info: (fields: object) => void lines.push(fields) };
    const strays = new Strays(clock, log);
    await strays.run(new AbortController().signal);
    expect(new Set(slept)).toEqual(new Set([60_000]));
    expect(lines).toEqual([{ address_unknown: 3 }, { no_http: 1 }]);
  });
});

describe('what the door counts', () => {
  const counted: Stray[] = [];
  let door: FastifyInstance;
  let answer: () => void;
  let sockets: Socket[];

  beforeEach(async () => {
    [counted.length, sockets] = [0, []];
    const held = new Promise<void>((resolve) => (answer = resolve));
    const ingest = { answer: () => held.then(() => received('e', { events: null, eventId: null })) };
    door = ingestServer(ingest as unknown as Ingest, { count: (kind) => void counted.push(kind) }, null);
    await door.listen({ port: 0, host: '127.0.0.1' });
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    answer();
    await door.close();
  });

  async function sent(bytes: string): Promise<Socket> {
    const socket = connect((door.server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    socket.write(bytes);
    return socket;
  }
  const isCounted = (...kinds: readonly Stray[]) =>
    eventually(`${kinds.join()} are counted`, () => Promise.resolve(counted.join() === kinds.join()));
  const post = 'POST /ingest/t HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';

  it.each<[Stray, string]>([
    ['no_http', 'nobody speaks so\r\n\r\n'],
    ['headers_too_large', `POST / HTTP/1.1\r\nHost: x\r\nX: ${'v'.repeat(40_000)}\r\n\r\n`],
    ['path_unknown', 'POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'],
    ['path_unknown', 'POST /%ff HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'],
    ['sent_ahead', `${post}nobody speaks so\r\n\r\n`],
  ])('%s', async (kind, bytes) => {
    await sent(bytes);
    await isCounted(kind);
  });

  it('connections that break off, and those that are too many', async () => {
    (await sent('POST /ingest/t HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n')).resetAndDestroy();
    await isCounted('broken_off');
    door.server.maxConnections = 1;
    await sent(post);
    await sent(post);
    await isCounted('broken_off', 'too_many_connections');
  });

  it('no delivery', async () => {
    const socket = await sent(post);
    answer();
    await once(socket, 'data');
    expect(counted).toEqual([]);
  });
});

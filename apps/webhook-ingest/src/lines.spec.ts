import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { eventually } from '@planasonix/testing';
import { Lines } from './lines.js';

describe('requests that are sent before the answer to the one before', () => {
  let server: Server;
  let clients: Socket[];
  let seen: number;
  let open: ServerResponse[];

  async function served(lines: Lines): Promise<void> {
    [clients, seen, open] = [[], 0, []];
    const listener = lines.listener((request, response) => {
      request.resume();
      open.push(response);
    });
    const counted: RequestListener = (request, response) => {
      seen++;
      listener(request, response);
    };
    server = createServer(counted).listen(0, '127.0.0.1');
    server.on('clientError', (_error, socket) => socket.end(lines.isAtFirst(socket as Socket) ? 'first' : 'later'));
    await once(server, 'listening');
  }
  afterEach(async () => {
    for (const client of clients) client.destroy();
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  async function client(): Promise<{ readonly socket: Socket; readonly heard: () => string }> {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    let heard = '';
    socket.on('data', (data) => (heard += String(data)));
    socket.on('error', () => undefined);
    clients.push(socket);
    await once(socket, 'connect');
    return { socket, heard: () => heard };
  }
  const request = (n: number, body = '') =>
    `POST /${n} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const requests = (n: number, body = '') => Array.from({ length: n }, (_, i) => request(i, body)).join('');
  const say = (response: ServerResponse) => response.end(response.req.url);
  const isOpen = (n: number) => eventually('they are under way', () => Promise.resolve(open.length === n));

  it('are worked on a few at a time, and the connection is not read meanwhile', async () => {
    await served(new Lines());
    const { socket } = await client();
    socket.write(requests(50_000));
    await isOpen(16);
    const other = await client();
    other.socket.write(request(0));
    await isOpen(17);
    say(open.pop()!);
    await eventually('another one is answered', () => Promise.resolve(other.heard().includes('200 OK')));
    expect(open).toHaveLength(16);
    expect(seen).toBeLessThan(5_000);
  });

  it.each(['', 'a body'])('are all answered, in their order, whether they have bodies or none (%j)', async (body) => {
    await served(new Lines());
    const { socket, heard } = await client();
    socket.write(requests(600, body));
    await eventually('all were answered', () => {
      for (const response of open.splice(0)) say(response);
      return Promise.resolve(heard().includes('/599'));
    });
    expect([...heard().matchAll(/\/(\d+)(?=HTTP|$)/g)].map(([, n]) => Number(n))).toEqual(
      Array.from({ length: 600 }, (_, i) => i),
    );
  });

  it('end their connection when there are too many in all, and nobody else’s', async () => {
    await served(new Lines({ underWay: 2, ahead: 5 }));
    const [first, second, third] = [await client(), await client(), await client()];
    first.socket.write(requests(6));
    await isOpen(2);
    third.socket.write(request(7));
    await isOpen(3);
    second.socket.write(requests(3));
    await once(second.socket, 'close');
    expect([first, third].map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    say(open.at(2)!);
    await eventually('it is answered', () => Promise.resolve(third.heard().includes('200 OK')));
    // What a connection had that is gone is not counted any more.
    first.socket.destroy();
    await eventually('it is gone', () => {
      for (const response of open.splice(0)) say(response);
      return new Promise((told) => server.getConnections((_error, count) => told(count === 1)));
    });
    const next = await client();
    next.socket.write(requests(6));
    await isOpen(2);
    expect(next.socket.destroyed).toBe(false);
  });

  it('are not answered with what is said of one behind them', async () => {
    await served(new Lines());
    const [alone, behind] = [await client(), await client()];
    alone.socket.write('no HTTP\r\n\r\n');
    behind.socket.write(`${request(0)}no HTTP\r\n\r\n`);
    await Promise.all([alone, behind].map(({ socket }) => once(socket, 'end')));
    expect([alone.heard(), behind.heard()]).toEqual(['first', 'later']);
  });
});

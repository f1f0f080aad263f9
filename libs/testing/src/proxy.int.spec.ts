import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually, startProxy, type Proxy } from './index.js';

/** Echoes, with its name in front. */
async function echo(name: string): Promise<{ server: Server; port: number; ends: () => number }> {
  let ended = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('end', () => ended++);
    socket.on('data', (data) => socket.write(`${name}${data.toString()}`));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port, ends: () => ended };
}

function dial(proxy: Proxy) {
  const socket: Socket = connect(proxy.port, proxy.host);
  const seen = { text: '', end: '' };
  socket.on('data', (data) => (seen.text += data.toString()));
  socket.on('error', (error) => (seen.end = (error as NodeJS.ErrnoException).code ?? 'error'));
  socket.on('close', () => (seen.end ||= 'close'));
  return { socket, seen };
}

describe('a network that breaks', () => {
  let one: Awaited<ReturnType<typeof echo>>;
  let two: Awaited<ReturnType<typeof echo>>;
  let proxy: Proxy;
  beforeAll(async () => {
    one = await echo('1');
    two = await echo('2');
    proxy = await startProxy({ targetPort: one.port });
  });
  afterAll(async () => {
    await proxy.stop();
    one.server.close();
    two.server.close();
  });

  it('tears a message in two', async () => {
    const { socket, seen } = dial(proxy);
    socket.write('x');
    await eventually('it answers', () => seen.text === '1x');
    proxy.tear();
    socket.write('0123456789');
    await eventually('both ends are gone', () => seen.end !== '' && proxy.connections === 0);
    expect(seen.text.length).toBeLessThan('1x10123456789'.length);
    const next = dial(proxy);
    next.socket.write('y');
    await eventually('a new connection is fine', () => next.seen.text === '1y');
    next.socket.destroy();
  });

  it('brings all that a server said before it ended', async () => {
    const all = 512 * 1024;
    const talker = createServer((socket) => socket.end(Buffer.alloc(all)));
    await new Promise<void>((resolve) => talker.listen(0, '127.0.0.1', resolve));
    proxy.pointTo((talker.address() as AddressInfo).port);
    proxy.slow(5);
    const { seen } = dial(proxy);
    await eventually('it is over', () => seen.end !== '');
    proxy.resume();
    proxy.pointTo(one.port);
    talker.close();
    expect([seen.end, seen.text.length]).toEqual(['close', all]);
    await eventually('the pair is gone', () => proxy.connections === 0);
  });

  it('ends a connection for the server alone', async () => {
    const { socket, seen } = dial(proxy);
    socket.write('x');
    await eventually('it answers', () => seen.text === '1x');
    const before = one.ends();
    proxy.halfOpen();
    await eventually('the server knows', () => one.ends() > before);
    socket.write('into the void');
    const next = dial(proxy);
    next.socket.write('y');
    await eventually('a new connection is fine', () => next.seen.text === '1y');
    expect(seen).toEqual({ text: '1x', end: '' });
    proxy.resume();
    await eventually('the client hears of it', () => seen.end !== '');
    expect(next.seen.end).toBe('');
    next.socket.destroy();
  });

  it('ends a connection for the client alone', async () => {
    const { socket, seen } = dial(proxy);
    socket.write('x');
    await eventually('it answers', () => seen.text === '1x');
    const before = one.ends();
    proxy.halfClose();
    await eventually('the client knows', () => seen.end !== '');
    const next = dial(proxy);
    next.socket.write('y');
    await eventually('a new connection is fine', () => next.seen.text === '1y');
    expect([one.ends(), proxy.connections]).toEqual([before, 2]);
    proxy.resume();
    await eventually('the server loses it', () => proxy.connections === 1);
    expect(next.seen.end).toBe('');
    next.socket.destroy();
  });

  it('swallows what both ends send, and tells neither', async () => {
    const { socket, seen } = dial(proxy);
    socket.write('x');
    await eventually('it answers', () => seen.text === '1x');
    const before = one.ends();
    proxy.swallow();
    socket.write('into the void');
    const next = dial(proxy);
    next.socket.write('y');
    await eventually('a new connection is fine', () => next.seen.text === '1y');
    expect([seen, one.ends(), proxy.connections]).toEqual([{ text: '1x', end: '' }, before, 2]);
    // The client gives up: the server does not hear of it.
    socket.destroy();
    await eventually('it is gone', () => socket.closed);
    expect([one.ends(), proxy.connections]).toEqual([before, 2]);
    proxy.resume();
    await eventually('the server loses it', () => proxy.connections === 1);
    expect(next.seen.end).toBe('');
    next.socket.destroy();
  });

  it('fails over to another server', async () => {
    const { socket, seen } = dial(proxy);
    socket.write('x');
    await eventually('it answers', () => seen.text === '1x');
    proxy.moveTo(two.port);
    await eventually('the old connection is gone', () => seen.end !== '');
    const next = dial(proxy);
    next.socket.write('y');
    await eventually('the other server answers', () => next.seen.text === '2y');
    // And back, for new ones alone.
    proxy.pointTo(one.port);
    const last = dial(proxy);
    last.socket.write('z');
    next.socket.write('y');
    await eventually('each is where it was', () => last.seen.text === '1z' && next.seen.text === '2y2y');
    for (const { socket } of [next, last]) socket.destroy();
  });
});

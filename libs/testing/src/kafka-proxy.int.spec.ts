import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually, startKafkaProxy, type KafkaProxy } from './index.js';

const PRODUCE = 0;
const METADATA = 3;

const framed = (body: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
};

function request(key: number, correlation: number, more = 0): Buffer {
  const head = Buffer.alloc(8 + more);
  head.writeInt16BE(key, 0);
  head.writeInt32BE(correlation, 4);
  return framed(head);
}

/** Answers each request with its number, in one piece for all that came together. */
async function broker(): Promise<{ server: Server; port: number; seen: number[] }> {
  const seen: number[] = [];
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      const answers: Buffer[] = [];
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const end = 4 + rest.readUInt32BE(0);
        seen.push(rest.readInt32BE(8));
        answers.push(framed(rest.subarray(8, 12)));
        rest = rest.subarray(end);
      }
      socket.write(Buffer.concat(answers));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as AddressInfo).port, seen };
}

describe('a network that knows the requests of Kafka', () => {
  let at: Awaited<ReturnType<typeof broker>>;
  let proxy: KafkaProxy;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    at = await broker();
    proxy = await startKafkaProxy({ targetPort: at.port });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await proxy.stop();
    at.server.close();
  });

  /** Numbers of the answers that came. */
  function dial() {
    const socket = connect(proxy.port, proxy.host);
    const found = { answers: [] as number[], ended: false };
    socket.on('data', (data) => {
      for (let from = 0; from < data.length; from += 8) found.answers.push(data.readInt32BE(from + 4));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => (found.ended = true));
    sockets.push(socket);
    return { socket, found };
  }

  it('loses the answer to one request of a kind, and hands on all others', async () => {
    const { socket, found } = dial();
    const lost = proxy.loseAnswer('Produce', 'silent');
    // One that comes in two pieces, and more than one in one piece.
    const bytes = Buffer.concat([request(METADATA, 1), request(PRODUCE, 2, 100_000), request(PRODUCE, 3)]);
    socket.write(bytes.subarray(0, 20));
    await eventually('the first is answered', () => found.answers.length === 1);
    socket.write(bytes.subarray(20));
    await lost;
    await eventually('the last is answered', () => found.answers.includes(3));
    expect([found.answers, at.seen, found.ended]).toEqual([[1, 3], [1, 2, 3], false]);
    expect([proxy.handed('Produce'), proxy.handed('Metadata')]).toEqual([2, 1]);
  });

  it('cuts the connection in place of the answer, once', async () => {
    const { socket, found } = dial();
    const lost = proxy.loseAnswer('Produce');
    socket.write(request(METADATA, 1));
    await eventually('others are answered', () => found.answers.length === 1);
    socket.write(request(PRODUCE, 2));
    await lost;
    await eventually('it is cut', () => found.ended);
    expect([found.answers, at.seen]).toEqual([[1], [1, 2]]);
    const next = dial();
    next.socket.write(request(PRODUCE, 2));
    await eventually('a new connection is fine', () => next.found.answers.length === 1);
  });
});

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Transform } from 'node:stream';

/** A network that can be broken: TCP between a client and a server on this machine. */
export interface Proxy {
  readonly host: string;
  readonly port: number;
  /** Open connections at this moment. */
  readonly connections: number;
  /** Connections accepted since the start. */
  readonly accepted: number;
  /** Ends all connections with a reset and refuses new ones, until `resume`. */
  cut(): void;
  /** Connections stay open, new ones are accepted, but no byte passes in either direction, until `resume`. */
  stall(): void;
  /** Each piece of data is held back this many milliseconds, until `resume`. */
  slow(ms: number): void;
  resume(): void;
  stop(): Promise<void>;
}

type Weather = 'clear' | 'cut' | 'stalled';

export async function startProxy({
  targetPort,
  targetHost = '127.0.0.1',
}: {
  readonly targetPort: number;
  readonly targetHost?: string;
}): Promise<Proxy> {
  let weather: Weather = 'clear';
  let delayMs = 0;
  let accepted = 0;
  let waiting: (() => void)[] = [];
  const sockets = new Set<Socket>();
  let pairs = 0;

  const clear = (): Promise<void> =>
    weather === 'stalled' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve();
  // One chunk at a time, in order: the stream's own back-pressure holds the rest.
  const gate = () =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        void (delayMs > 0 ? new Promise((resolve) => setTimeout(resolve, delayMs)) : Promise.resolve())
          .then(clear)
          .then(() => done(null, chunk));
      },
    });

  const server = createServer({ allowHalfOpen: false }, (client) => {
    if (weather === 'cut') {
      client.resetAndDestroy();
      return;
    }
    accepted++;
    pairs++;
    const upstream = connect({ port: targetPort, host: targetHost });
    const both = [client, upstream];
    for (const socket of both) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        // While stalled a peer's end is not told either: that is what a dead network looks like.
        void clear().then(() => both.forEach((other) => other.destroy()));
      });
    }
    client.once('close', () => pairs--);
    client.pipe(gate()).pipe(upstream);
    upstream.pipe(gate()).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  const { port } = server.address() as AddressInfo;

  const release = () => {
    const ready = waiting;
    waiting = [];
    ready.forEach((go) => go());
  };
  const drop = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    host: '127.0.0.1',
    port,
    get connections() {
      return pairs;
    },
    get accepted() {
      return accepted;
    },
    cut() {
      weather = 'cut';
      drop();
      release();
    },
    stall() {
      weather = 'stalled';
    },
    slow(ms) {
      delayMs = ms;
    },
    resume() {
      weather = 'clear';
      delayMs = 0;
      release();
    },
    async stop() {
      weather = 'cut';
      drop();
      release();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

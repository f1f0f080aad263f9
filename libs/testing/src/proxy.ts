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
  /** Of the next piece of data of each open connection half passes; then both ends are reset. New connections are fine. */
  tear(): void;
  /**
   * The server sees each open connection end and the client does not: what it sends is swallowed, until `resume` resets
   * it. New connections are fine.
   */
  halfOpen(): void;
  /** The client sees each open connection end and the server does not: what that sends is swallowed, until `resume` resets it. */
  halfClose(): void;
  /** Neither end of an open connection sees anything, and what both send is swallowed, until `resume` resets it. New connections are fine. */
  swallow(): void;
  resume(): void;
  /** Ends all connections with a reset; new ones go to another port: a fail-over behind one address. */
  moveTo(port: number): void;
  /** New connections go to another port, and open ones stay where they are: an address that changes hands. */
  pointTo(port: number): void;
  stop(): Promise<void>;
}

function reset(pair: { readonly client: Socket; readonly upstream: Socket }): void {
  for (const socket of [pair.client, pair.upstream]) {
    // One that is being ended can't be reset any more: its handle would stay for ever, and the process with it.
    if (socket.writableEnded) socket.destroy();
    else socket.resetAndDestroy();
  }
}

type Weather = 'clear' | 'cut' | 'stalled';

/** The two ends of a connection. */
interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  torn: boolean;
  /** The ends that do not know that it is over. */
  unaware: readonly Socket[];
}

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
  let port = targetPort;
  const pairs = new Set<Pair>();

  const clear = (): Promise<void> =>
    weather === 'stalled' ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve();
  // One chunk at a time, in order: the stream's own back-pressure holds the rest.
  const gate = (pair: Pair, to: Socket) =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        if (pair.unaware.length > 0) return done();
        if (pair.torn && chunk.length > 1)
          return void to.write(chunk.subarray(0, chunk.length >> 1), () => reset(pair));
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
    const upstream = connect({ port, host: targetHost });
    const pair: Pair = { client, upstream, torn: false, unaware: [] };
    pairs.add(pair);
    const both = [client, upstream];
    for (const socket of both) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', (failed: boolean) => {
        if (pair.unaware.some((end) => end !== socket)) return;
        if (socket === upstream && !failed && upstream.readableEnded) {
          // The server has said all: the client gets it at its own pace, and then the end; what it still says goes nowhere.
          client.unpipe();
          client.resume();
          return;
        }
        // While stalled a peer's end is not told either: that is what a dead network looks like.
        void clear().then(() => both.forEach((other) => other.destroy()));
      });
    }
    const isOver = (): boolean => (pair.unaware.length > 0 ? pair.unaware : [client]).every((end) => end.closed);
    for (const socket of both) socket.once('close', () => isOver() && pairs.delete(pair));
    client.pipe(gate(pair, upstream)).pipe(upstream);
    upstream.pipe(gate(pair, client)).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  const address = server.address() as AddressInfo;

  const release = () => {
    const ready = waiting;
    waiting = [];
    ready.forEach((go) => go());
  };
  const drop = () => {
    for (const pair of pairs) reset(pair);
  };
  /** Of each open connection one end is told that it is over, and the other is not. */
  const endFor = (told: 'client' | 'upstream') => {
    for (const pair of pairs) {
      pair.unaware = [pair[told === 'client' ? 'upstream' : 'client']];
      pair[told].unpipe();
      pair[told].end();
    }
  };
  return {
    host: '127.0.0.1',
    port: address.port,
    get connections() {
      return pairs.size;
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
    tear() {
      for (const pair of pairs) pair.torn = true;
    },
    halfOpen: () => endFor('upstream'),
    halfClose: () => endFor('client'),
    swallow() {
      for (const pair of pairs) pair.unaware = [pair.client, pair.upstream];
    },
    resume() {
      weather = 'clear';
      delayMs = 0;
      for (const pair of pairs) if (pair.unaware.length > 0) reset(pair);
      release();
    },
    moveTo(to) {
      port = to;
      drop();
    },
    pointTo(to) {
      port = to;
    },
    async stop() {
      weather = 'cut';
      drop();
      release();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Transform } from 'node:stream';

/** Numbers of the protocol's requests. */
export const KAFKA_APIS = {
  ...{ Produce: 0, Fetch: 1, ListOffsets: 2, Metadata: 3 },
  ...{ InitProducerId: 22, AddPartitionsToTxn: 24, EndTxn: 26 },
} as const;
export type KafkaApi = keyof typeof KAFKA_APIS;

/** A network between clients and a broker of Kafka on this machine that knows requests from one another. Without TLS. */
export interface KafkaProxy {
  readonly host: string;
  readonly port: number;
  /**
   * The next request of this kind reaches the broker and is answered, and the client never hears so: its connection is
   * `cut`, or `silent`, where other answers still come. Resolves when the answer has been lost.
   */
  loseAnswer(api: KafkaApi, how?: 'cut' | 'silent'): Promise<void>;
  /** Requests of this kind that were handed on. */
  handed(api: KafkaApi): number;
  stop(): Promise<void>;
}

interface Loss {
  readonly key: number;
  readonly how: 'cut' | 'silent';
  readonly lost: () => void;
}

const LENGTH_BYTES = 4;

/**
 * Cuts a stream of bytes into messages, each with its length in front, and hands on those that `passes`; what it is asked
 * with is the message without its length.
 */
function messages(passes: (message: Buffer) => boolean): Transform {
  let chunks: Buffer[] = [];
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      bytes += chunk.length;
      // A message of some megabytes comes in many pieces: they are put together once.
      const head = chunks[0]!.length >= LENGTH_BYTES ? chunks[0]! : Buffer.concat(chunks);
      if (bytes < LENGTH_BYTES || bytes < LENGTH_BYTES + head.readUInt32BE(0)) return done();
      let all = Buffer.concat(chunks);
      while (all.length >= LENGTH_BYTES) {
        const end = LENGTH_BYTES + all.readUInt32BE(0);
        if (all.length < end) break;
        if (passes(all.subarray(LENGTH_BYTES, end))) this.push(all.subarray(0, end));
        all = all.subarray(end);
      }
      chunks = [all];
      bytes = all.length;
      done();
    },
  });
}

export async function startKafkaProxy({ targetPort }: { readonly targetPort: number }): Promise<KafkaProxy> {
  const handed = new Map<number, number>();
  const losses: Loss[] = [];
  const sockets = new Set<Socket>();

  const server = createServer((client) => {
    const upstream = connect({ port: targetPort, host: '127.0.0.1' });
    /** By the number that the client gave the request, and that the answer has. */
    const expected = new Map<number, Loss>();
    const both = [client, upstream];
    const end = () => both.forEach((socket) => socket.destroy());
    for (const socket of both) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    const requests = messages((message) => {
      const [key, correlation] = [message.readInt16BE(0), message.readInt32BE(4)];
      handed.set(key, (handed.get(key) ?? 0) + 1);
      const loss = losses.find((one) => one.key === key);
      if (loss !== undefined) {
        losses.splice(losses.indexOf(loss), 1);
        expected.set(correlation, loss);
      }
      return true;
    });
    const answers = messages((message) => {
      const correlation = message.readInt32BE(0);
      const loss = expected.get(correlation);
      if (loss === undefined) return true;
      expected.delete(correlation);
      if (loss.how === 'cut') end();
      loss.lost();
      return false;
    });
    client.pipe(requests).pipe(upstream);
    upstream.pipe(answers).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();

  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    loseAnswer: (api, how = 'cut') => new Promise((lost) => losses.push({ key: KAFKA_APIS[api], how, lost })),
    handed: (api) => handed.get(KAFKA_APIS[api]) ?? 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

import Connection from 'kafkajs/src/network/connection.js';
import Encoder from 'kafkajs/src/protocol/encoder.js';
import type { Socket } from 'node:net';
import { WireReader, WireWriter } from '../client-wire.js';
import type { Call, Link, LinkOptions } from '../client.js';
import type { BrokerAddress } from '../config.js';
import { KafkaError } from '../connection-error.js';
import { socketFactory, type SocketWish } from '../connection-socket.js';
import { kafkaJsLogger } from './connection-log.js';
import { RequestPieces } from './connection-pieces.js';

const SASL_AUTHENTICATE = 36;
const UNSUPPORTED_VERSION = 35;

const API_VERSIONS: Call<ReadonlyMap<number, readonly [lowest: number, highest: number]>> = {
  name: 'ApiVersions',
  key: 18,
  versions: [3],
  encode: (to) => to.string('planasonix').string('1').tags(),
  decode(from) {
    const error = from.int16();
    if (error !== 0) throw new KafkaError(error, 'asking for the versions');
    return new Map(
      from.array(() => {
        const range = [from.int16(), [from.int16(), from.int16()] as const] as const;
        from.tags();
        return range;
      }),
    );
  },
};

const encoded = (bytes: Buffer): Encoder => new Encoder(bytes.length).writeBuffer(bytes);

function wired<R>(call: Call<R>, version: number, payload: Buffer): Parameters<Connection['send']>[0] {
  return {
    request: {
      apiKey: call.key,
      apiVersion: version,
      apiName: call.name,
      encode: () => Promise.resolve(encoded(payload)),
    },
    response: {
      decode(payload: Buffer) {
        const from = new WireReader(payload);
        // Alone of all, the answer about versions has no tagged fields in its header.
        if (call.key !== API_VERSIONS.key) from.tags();
        return Promise.resolve({ decoded: call.decode(from, version), clientSideThrottleTime: 0 });
      },
      parse: (found: { decoded: R }) => Promise.resolve(found.decoded),
    },
    logResponseError: false,
  };
}

/** The header that kafkajs writes ends before its tagged fields. */
function written<R>(call: Call<R>, version: number): readonly Buffer[] {
  const to = new WireWriter().tags();
  call.encode(to, version);
  return to.pieces();
}

/** Dials, asks for the versions, logs in. @throws what kafkajs or the broker said; `toStreamError` understands it. */
export async function openLink({ host, port }: BrokerAddress, options: LinkOptions): Promise<Link> {
  const { settings, outbound, log, clientId, connectMs, requestMs, onSilence } = options;
  const dial = socketFactory(settings, outbound);
  let socket: Socket | null = null;
  const beside = new RequestPieces();
  const connection = new Connection({
    ...{ host, port, clientId, requestTimeout: requestMs, connectionTimeout: connectMs },
    logger: kafkaJsLogger(log),
    ssl: settings.tls,
    sasl: settings.sasl === null ? null : { ...settings.sasl },
    socketFactory: (wish: SocketWish) => (socket = beside.through(dial(wish))),
  });
  // It would look each millisecond for ever whether it is still throttled; brokers hold back their answers themselves.
  connection.requestQueue.scheduleCheckPendingRequests = () => undefined;
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    socket?.destroy();
    connection.rejectRequests(Object.assign(new Error('The connection was closed'), { code: 'ECONNABORTED' }));
    void connection.disconnect().catch(() => undefined);
  };
  const timer = setTimeout(close, connectMs * 2);
  try {
    await connection.connect();
    const versions = (await connection.send(
      wired(API_VERSIONS, 3, Buffer.concat(written(API_VERSIONS, 3))),
    )) as Awaited<ReturnType<(typeof API_VERSIONS)['decode']>>;
    connection.setVersions(
      Object.fromEntries([...versions].map(([key, [minVersion, maxVersion]]) => [key, { minVersion, maxVersion }])),
    );
    connection.setSupportAuthenticationProtocol(versions.has(SASL_AUTHENTICATE));
    await connection.authenticate();
    return {
      highest: (apiKey) => versions.get(apiKey)?.[1] ?? -1,
      get open() {
        return !closed && connection.isConnected();
      },
      send<R>(call: Call<R>): Promise<R> {
        const [lowest, highest] = versions.get(call.key) ?? [0, -1];
        const version = call.versions.find((one) => one <= highest && one >= lowest);
        if (version === undefined) return Promise.reject(new KafkaError(UNSUPPORTED_VERSION, call.name));
        const pieces = written(call, version);
        const token = pieces.length > 1 ? beside.leave(pieces) : null;
        return (connection.send(wired(call, version, token ?? pieces[0]!)) as Promise<R>)
          .catch((error: unknown) => {
            // Nothing more is to be hoped for from a connection that keeps silent.
            if (error instanceof Error && error.name === 'KafkaJSRequestTimeoutError') {
              close();
              onSilence?.();
            }
            throw error;
          })
          .finally(() => token && beside.forget(token));
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Clock, Log } from '@planasonix/core';
import { discardUnread } from '@planasonix/service';
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { refusal, type Answer } from './answer.js';
import type { Ingest } from './ingest.js';
import { Lines } from './lines.js';
import type { Stray, Strays } from './strays.js';
import type { TlsIdentity } from './tls.js';

/** Trap 30: Node's own patience is a minute for headers, and it looks each half minute. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 26_000;
const LOOK_MS = 1_000;
const KEEP_ALIVE_MS = 65_000;
const HANDSHAKE_MS = 10_000;
const LARGEST_HEADERS = 32 * 1024;
const LONGEST_TOKEN = 64;
const MOST_CONNECTIONS = 20_000;
/** Another process of this machine has the port: it is taken over when that one ends. */
const PORT_AGAIN_MS = 200;

const LIMITS = {
  ...{ headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: LOOK_MS },
  ...{ keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: LARGEST_HEADERS },
};

/**
 * Every client is asked for a certificate, whoever issued it: the handshake proves that it has the key, and the stream
 * that it knocks at judges the rest. So a sender that has none, or one for another stream, learns nothing from TLS.
 */
const secured = (tls: TlsIdentity) =>
  ({ ...LIMITS, ...tls, requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_MS }) as const;

/** The HTTP door, or with `tls` the HTTPS one. Everything that is no delivery is answered here in few words, and counted. */
export function ingestServer(ingest: Ingest, strays: Pick<Strays, 'count'>, tls: TlsIdentity | null): FastifyInstance {
  const lines = new Lines(undefined, () => strays.count('sent_ahead'));
  const stray = (kind: Stray, reply: FastifyReply, answer: Answer) => {
    strays.count(kind);
    return say(reply, answer);
  };
  const server = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    serverFactory: (handle) => {
      const listener = lines.listener(handle);
      return tls === null ? createServer(LIMITS, listener) : createSecureServer(secured(tls), listener);
    },
    routerOptions: { maxParamLength: LONGEST_TOKEN, querystringParser: () => ({}) },
    genReqId: () => '',
    frameworkErrors: (_error, _request, reply) => void stray('path_unknown', reply, refusal('not_found')),
    clientErrorHandler: (error: Error & { code?: string }, socket: Socket) =>
      strays.count(lines.isAtFirst(socket) ? refuseBytes(error.code, socket) : endBehind(socket)),
  });
  server.server.maxConnections = MOST_CONNECTIONS;
  server.server.on('drop', () => strays.count('too_many_connections'));
  server.setNotFoundHandler((_request, reply) => void stray('path_unknown', reply, refusal('not_found')));
  server.setErrorHandler((_error, _request, reply) => void stray('failed', reply, refusal('busy')));
  // Answered before Fastify parses anything: bodies are read by us, as bytes, and the type that a header claims may be absurd.
  server.all<{ Params: { token: string } }>('/ingest/:token', {
    onRequest: async (request, reply) => say(reply, await ingest.answer(request.raw, request.params.token)),
    handler: (_request, reply) => say(reply, refusal('busy')),
  });
  return server;
}

function say(reply: FastifyReply, { status, body, headers }: Answer): FastifyReply {
  if (status === 413) discardUnread(reply.request.raw);
  if (body === null) return reply.code(status).headers(headers).send();
  return reply
    .code(status)
    .headers({ 'content-type': 'application/json; charset=utf-8', ...headers })
    .send(JSON.stringify(body));
}

/** What is not HTTP, or too slow, or has headers without end, and is what is answered next. Below HTTP, as in a TLS handshake, nothing can be said. */
function refuseBytes(code: string | undefined, socket: Socket): Stray {
  const { kind, line } = foundBy(code);
  if (line === null || !socket.writable) socket.destroy();
  else socket.end(`HTTP/1.1 ${line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  return kind;
}

/** What is wrong behind an unanswered request: an answer would be taken for that of the request. */
function endBehind(socket: Socket): Stray {
  socket.destroy();
  return 'sent_ahead';
}

function foundBy(code = ''): { readonly kind: Stray; readonly line: string | null } {
  if (code === 'HPE_HEADER_OVERFLOW') return { kind: 'headers_too_large', line: '431 Request Header Fields Too Large' };
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { kind: 'too_slow', line: '408 Request Timeout' };
  if (code.startsWith('HPE_'))
    return { kind: code === 'HPE_INVALID_EOF_STATE' ? 'broken_off' : 'no_http', line: '400 Bad Request' };
  return { kind: /^ERR_(?:SSL|TLS)_/.test(code) ? 'tls_failed' : 'broken_off', line: null };
}

/**
 * What a door listens at. `localhost` is both of its addresses, each with a server of its own: whichever one Fastify
 * would add to the first has neither its limits nor its renewed certificate.
 */
export const addressesOf = (host: string): readonly string[] => (host === 'localhost' ? ['127.0.0.1', '::1'] : [host]);

/** `no_address`: this machine does not have it. `stopped`: it was told to end before the port was free. */
export type Listening = 'listening' | 'no_address' | 'stopped';

/** Listens, as soon as the port is free. @throws what else keeps it from that. */
export async function listen(
  server: FastifyInstance,
  at: { readonly port: number; readonly host: string },
  deps: { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal },
): Promise<Listening> {
  await server.ready();
  for (let told = false; !deps.signal.aborted;) {
    try {
      await server.listen({ ...at });
      deps.log.info(at, 'deliveries are taken in');
      return 'listening';
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return 'no_address';
      if (code !== 'EADDRINUSE') throw error;
      if (!told) deps.log.info(at, 'another process has the port; waiting for it');
      told = true;
      await deps.clock.sleep(PORT_AGAIN_MS, deps.signal);
    }
  }
  return 'stopped';
}

import type { Socket } from 'node:net';
import helmet from '@fastify/helmet';
import type { FastifyAdapter, NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Gateway } from '../composition.js';
import { ApiError, errorBody } from '../contract/api-error.js';
import { RouteTable } from '../contract/route-table.js';
import { Admission } from './admission.js';
import { ApiErrorFilter } from './api-error.filter.js';
import { guardInput, MAX_BODY_BYTES } from './fastify-input.js';
import type { RateLimits } from './rate-limits.js';
import { requestIdFrom } from './request-id.js';

/** Headers and body have to be here by then: nobody holds a connection by sending slowly. */
const REQUEST_MS = 15_000;

/** Node looks each half minute only for those who are too slow. Trap 30. */
const LOOK_MS = 1000;
const MOST_CONNECTIONS = 20_000;

/** Options of Fastify, for what it meets before there is a route. */
export const fastifyOptions = (filter: ApiErrorFilter, limits: Pick<RateLimits, 'ofAddress'>) => ({
  bodyLimit: MAX_BODY_BYTES,
  // What comes while the gateway ends is answered like everything else; nothing new is accepted on the port.
  return503OnClosing: false,
  requestTimeout: REQUEST_MS,
  http: { headersTimeout: 10_000, connectionsCheckingInterval: LOOK_MS },
  // Admission makes the id; Fastify's own counter would only be a second name.
  genReqId: () => '',
  // Ids and queries are judged by the input pipe, with our own answers.
  routerOptions: { maxParamLength: 65_536, querystringParser: () => ({}) },
  // Every answer tells the limits, also to those whom the admission hook never meets.
  frameworkErrors: async (error: Error, request: FastifyRequest, reply: FastifyReply) => {
    const { headers } = await limits.ofAddress(request.ip);
    filter.answer(error, request, reply.headers(headers));
  },
  clientErrorHandler: async (error: Error & { code?: string }, socket: Socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const answer = clientError(error.code);
    const requestId = requestIdFrom(undefined);
    const body = JSON.stringify(errorBody(answer, requestId));
    const { headers } = await limits.ofAddress(socket.remoteAddress ?? '');
    if (!socket.writable) return void socket.destroy();
    const told = Object.entries({ ...headers, 'x-request-id': requestId }).map(([name, value]) => `${name}: ${value}`);
    const phrase = answer.status === 431 ? 'Request Header Fields Too Large' : 'Bad Request';
    socket.end(
      `HTTP/1.1 ${answer.status} ${phrase}\r\nContent-Type: application/json\r\nConnection: close\r\n${told.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  },
});

/** What a client is told whose request did not come to a route. */
function clientError(code: string | undefined): ApiError {
  if (code === 'HPE_HEADER_OVERFLOW') return new ApiError('headers_too_large');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new ApiError('invalid_request', {
      message: `The request was not there whole within ${REQUEST_MS / 1000} s.`,
    });
  return new ApiError('invalid_request', { message: 'This is not HTTP.' });
}

/** Strict enough for the API, and the page at `/api/docs` works: it loads nothing from elsewhere. */
const CSP = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
};

/** Everything between the socket and the controllers. */
export async function serve(app: NestFastifyApplication, gateway: Gateway, routes: RouteTable): Promise<void> {
  app.getHttpServer().maxConnections = MOST_CONNECTIONS;
  await app.register(helmet, { contentSecurityPolicy: CSP, crossOriginEmbedderPolicy: false });
  guardInput(
    app.getHttpAdapter() as unknown as FastifyAdapter,
    new Admission(routes, gateway.keys, gateway.limits),
    gateway.log,
  );
}

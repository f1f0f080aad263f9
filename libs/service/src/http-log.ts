import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { Histogram, register } from 'prom-client';

/** A command may wait 5 s for its worker; what takes longer than this is not normal. */
const SLOW_MS = 6000;
/** Lines per 10 s: an outage makes every answer abnormal, and one says as much as a thousand. */
const LINES = 10;
const SPAN_MS = 10_000;

const NAME = 'planasonix_http_request_seconds';

/** Every request is counted; only those that are slow or failed by our fault are logged. Never a query, a body or a key. */
export function watchRequests(app: NestFastifyApplication, name: string, logger: Logger): void {
  const seconds =
    (register.getSingleMetric(NAME) as Histogram | undefined) ??
    new Histogram({
      name: NAME,
      help: 'Requests by route and class of status',
      labelNames: ['app', 'method', 'route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    });
  let [begun, lines, kept] = [0, 0, 0];
  const mayLog = (): boolean => {
    if (performance.now() - begun > SPAN_MS) {
      if (kept > 0) logger.warn({ requests: kept }, 'as many abnormal requests are not listed');
      [begun, lines, kept] = [performance.now(), 0, 0];
    }
    if (lines < LINES) return ++lines > 0;
    kept++;
    return false;
  };

  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onResponse', (request, reply, done) => {
      const ms = reply.elapsedTime;
      const route = request.routeOptions.url ?? 'none';
      const labels = { app: name, method: request.method, route, status: `${Math.floor(reply.statusCode / 100)}xx` };
      seconds.observe(labels, ms / 1000);
      // A live tail is meant to take long; readiness is meant to answer 503.
      const tail = String(reply.getHeader('content-type') ?? '').startsWith('text/event-stream');
      const abnormal = reply.statusCode >= 500 || (ms > SLOW_MS && !tail);
      if (abnormal && !route.startsWith('/health/') && mayLog())
        logger.warn(
          {
            method: request.method,
            route,
            status: reply.statusCode,
            ms: Math.round(ms),
            request_id: reply.getHeader('x-request-id'),
          },
          'abnormal request',
        );
      done();
    });
}

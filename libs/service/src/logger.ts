import type { Log } from '@planasonix/core';
import { pino, type Logger } from 'pino';

/** Names under which secrets travel. Their values never reach a log line, however deep they lie. */
const SECRET = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'secrets',
  'token',
  'key',
  'apiKey',
  'x-planasonix-api-key',
  'sasl',
  'connectionString',
];
const PATHS = SECRET.flatMap((name) =>
  name.includes('-') ? [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`] : [name, `*.${name}`, `*.*.${name}`],
);

/** One JSON line per event on standard output. Normal things are counted, abnormal ones are logged. */
export const createLogger = (app: string, level: string): Logger =>
  pino({
    name: app,
    level,
    redact: { paths: PATHS, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });

/** The same logger behind core's interface. */
export const asLog = (logger: Logger): Log => ({
  debug: (fields, message) => logger.debug(fields, message),
  info: (fields, message) => logger.info(fields, message),
  warn: (fields, message) => logger.warn(fields, message),
  error: (fields, message) => logger.error(fields, message),
});

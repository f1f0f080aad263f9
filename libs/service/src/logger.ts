import type { Log } from '@planasonix/core';
import { pino, type DestinationStream, type Logger } from 'pino';
import { plainText, withoutSecrets } from './redaction.js';

/**
 * One JSON line per event on standard output. Normal things are counted, abnormal ones are logged; secrets and the
 * values that drivers hang onto their errors never are.
 */
export const createLogger = (app: string, level: string, to?: DestinationStream): Logger =>
  pino(
    {
      name: app,
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: withoutSecrets },
      // `formatters.log` has made it plain already; pino's own serializer would copy every field of an error.
      serializers: { err: (error: unknown) => error },
      hooks: {
        logMethod(args, method) {
          const plain = args.map((one: unknown) => (typeof one === 'string' ? plainText(one) : one));
          method.apply(this, plain as Parameters<typeof method>);
        },
      },
    },
    to as DestinationStream,
  );

/** The same logger behind core's interface. */
export const asLog = (logger: Logger): Log => ({
  debug: (fields, message) => logger.debug(fields, message),
  info: (fields, message) => logger.info(fields, message),
  warn: (fields, message) => logger.warn(fields, message),
  error: (fields, message) => logger.error(fields, message),
});

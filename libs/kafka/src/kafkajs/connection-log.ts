import type { Log } from '@planasonix/core';
import { logLevel, type LogEntry } from 'kafkajs';

/** kafkajs puts requests, answers and stacks into its entries: only these may be told. */
function tell(log: Log, namespace: string, message: string, fields: Readonly<Record<string, unknown>>): void {
  const { broker, error, retryCount } = fields;
  log.debug({ namespace, broker, error, retryCount }, `kafkajs: ${message}`);
}

/** For `new Kafka({ logCreator })`: what goes wrong reaches us as an error, so the log has it as detail alone. */
export const logCreator =
  (log: Log) =>
  () =>
  ({ namespace, level, log: entry }: LogEntry): void => {
    const { message, ...fields } = entry;
    if (level !== logLevel.NOTHING) tell(log, namespace, message, fields);
  };

/** The logger that kafkajs' own parts ask for. */
export interface KafkaJsLogger {
  namespace(name: string): KafkaJsLogger;
  error(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  debug(message: string, fields?: object): void;
}

export function kafkaJsLogger(log: Log, name = ''): KafkaJsLogger {
  const say = (message: string, fields: object = {}) => tell(log, name, message, fields as Record<string, unknown>);
  const quiet = () => undefined;
  return {
    namespace: (inner) => kafkaJsLogger(log, name === '' ? inner : `${name}:${inner}`),
    error: say,
    warn: say,
    info: quiet,
    debug: quiet,
  };
}

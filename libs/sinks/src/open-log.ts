import { StreamError, systemClock, type Clock, type EventLog, type PipelineOutput } from '@planasonix/core';
import { redisFactory, type RedisFactory } from './redis-stream/connection.js';
import { RedisLog } from './redis-stream/redis-log.js';

export interface LogDeps {
  /** `redis://…` of the system's Redis, or a maker of connections to it. */
  readonly redisUrl: string | RedisFactory;
  readonly clock?: Clock;
}

type Opener<T extends PipelineOutput['type']> = (
  output: Extract<PipelineOutput, { type: T }>,
  deps: LogDeps,
) => EventLog;

/** One line per kind of log. */
const OPENERS: { readonly [T in PipelineOutput['type']]?: Opener<T> } = {
  redis_stream: (output, deps) =>
    new RedisLog(
      output,
      typeof deps.redisUrl === 'string' ? redisFactory(deps.redisUrl) : deps.redisUrl,
      deps.clock ?? systemClock,
    ),
};

/**
 * The log that a pipeline's `output` names. Connects when first used; `close` gives the connection back.
 * @throws StreamError `config_invalid` for a kind that this build has no file for.
 */
export function openLog(output: PipelineOutput, deps: LogDeps): EventLog {
  const open = OPENERS[output.type] as ((output: PipelineOutput, deps: LogDeps) => EventLog) | undefined;
  if (!open)
    throw new StreamError('config_invalid', `There is no log of type "${output.type}"`, {
      hint: `Known: ${Object.keys(OPENERS).join(', ')}.`,
    });
  return open(output, deps);
}

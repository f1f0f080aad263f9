import { eventually } from '@planasonix/testing';
import type { Api, StreamAnswer } from './api.js';
import type { DemoSource } from './demo-source.js';

interface Made {
  readonly id: string;
}

/** High enough that nothing waits for room: nobody reads this log but the demo itself. */
const IN_REDIS = { type: 'redis_stream', retention: { max_entries: 100_000_000, on_full: 'block' } } as const;

/** The connection of a log in Kafka, and the pipeline's output into it. One partition: the fold goes by the order of all tables. */
async function inKafka(api: Api, brokers: readonly string[]): Promise<object> {
  const { id } = await api.call<Made>('POST', '/connections', { name: 'log', type: 'kafka', config: { brokers } });
  return {
    ...{ type: 'kafka', connectionId: id, topic: 'shop.{stream}' },
    createTopics: { partitions: 1, replicationFactor: 1 },
  };
}

/**
 * Connection, pipeline and stream, as a user makes them.
 * @param brokers of the log; `null`: it is in Redis
 * @returns the stream's id.
 */
export async function bindStream(
  api: Api,
  source: Pick<DemoSource, 'connection' | 'sourceType' | 'settings'>,
  brokers: readonly string[] | null,
): Promise<string> {
  const connection = await api.call<Made>('POST', '/connections', { name: 'shop', ...source.connection });
  const pipeline = await api.call<Made>('POST', '/pipelines', {
    name: 'shop',
    output: brokers === null ? IN_REDIS : await inKafka(api, brokers),
  });
  const create = () =>
    api.call<StreamAnswer>('POST', '/streams', {
      name: 'shop',
      sourceType: source.sourceType,
      pipelineId: pipeline.id,
      connectionId: connection.id,
      config: { tables: ['shop.*'], ...source.settings },
    });
  // The type is known once its first worker has announced itself.
  return (await eventually('the stream can be made', create, { timeoutMs: 30_000, everyMs: 200 })).data.id;
}

type Told = StreamAnswer['data']['attributes'];

/** @throws with the stream's own reason when it goes to `error`. */
async function until(
  what: string,
  so: (told: Told) => boolean,
  [api, streamId, signal]: readonly [Api, string, AbortSignal],
  timeoutMs: number,
): Promise<void> {
  const failed = await eventually(
    what,
    async () => {
      const told = (await api.call<StreamAnswer>('GET', `/streams/${streamId}`)).data.attributes;
      const { status, last_error: error } = told;
      if (status === 'error') return `The stream is in error: ${error?.code}: ${error?.message}`;
      return so(told) || signal.aborted ? 'no' : null;
    },
    { timeoutMs, everyMs: 100 },
  );
  if (failed !== 'no') throw new Error(failed);
}

export const waitUntilRunning = (...stream: [api: Api, streamId: string, signal: AbortSignal]): Promise<void> =>
  until('the stream runs', ({ status }) => status === 'running', stream, 60_000);

/** Until then rows of the snapshot come between the changes: the change that was made last need not be the last entry. */
export const waitUntilSnapshotIsOver = (...stream: [api: Api, streamId: string, signal: AbortSignal]): Promise<void> =>
  until('the snapshot is in the log', ({ snapshot }) => snapshot?.state === 'done', stream, 120_000);

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, QueueEvents, Worker, type Job } from 'bullmq';
import { Redis } from 'ioredis';

/** All keys of the queues begin with this. They may be deleted at any time: that costs latency, never a command. */
const PREFIX = 'plnx';

const commandsOf = (sourceType: string): string => `commands-${sourceType}`;
const asksOf = (sourceType: string): string => `asks-${sourceType}`;

/** A bell: look at this stream's row. It carries ids only. */
export interface CommandJob {
  readonly streamId: string;
  readonly generation: number;
}

export type AskKind = 'check' | 'connection_test' | 'tables' | 'release' | 'order' | 'settle' | 'sample';

/** A question to any one worker of a type. Ids only: what is secret lies in the store, sealed. */
export interface AskJob {
  readonly kind: AskKind;
  readonly streamId?: string;
  readonly connectionId?: string;
  readonly draftId?: string;
  readonly force?: boolean;
  /** After it nobody waits for the answer any more: ms, by the clock of Redis, the one that both ends can read. */
  readonly deadline: number;
}

type Outcome = { readonly answer: unknown } | { readonly failure: string };

async function redisTime(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}

/**
 * A connection on which nothing comes back for so long is made anew: the network may have swallowed it. BullMQ listens
 * with commands that wait up to 10 s.
 */
const SILENCE_MS = { asking: 5_000, listening: 15_000 } as const;

/** A Redis that takes connections and says nothing is away, too. */
const ANSWERS_WITHIN_MS = 3_000;

/** Connections that fail at once while Redis is away: a request must not hang on them. */
function producing(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    connectTimeout: 1000,
    commandTimeout: ANSWERS_WITHIN_MS,
    socketTimeout: SILENCE_MS.asking,
    retryStrategy: () => 250,
  });
  redis.on('error', () => undefined);
  return redis;
}

/** Connections that wait for Redis as long as it takes (BullMQ's workers ask for that). */
function consuming(url: string): Redis {
  const redis = new Redis(url, {
    maxRetriesPerRequest: null,
    retryStrategy: () => 250,
    socketTimeout: SILENCE_MS.listening,
  });
  redis.on('error', () => undefined);
  return redis;
}

/** The gateway's end of the queues. */
export class QueueProducer {
  private readonly redis: Redis;
  private readonly queues = new Map<string, Queue>();
  private readonly events = new Map<string, QueueEvents>();
  /** Who waits for an answer, by the id of the job. */
  private readonly asking = new Map<string, (outcome: Outcome) => void>();
  /** BullMQ leaves connections that it was given to those who made them. */
  private readonly listening: Redis[] = [];

  constructor(private readonly url: string) {
    this.redis = producing(url);
  }

  /** A job whose id is there already is swallowed (trap 27): harmless, for the row decides and workers look by themselves. */
  async ring(sourceType: string, job: CommandJob): Promise<void> {
    await this.queue(commandsOf(sourceType)).add('look', job, {
      jobId: `${job.streamId}-${job.generation}`,
      removeOnComplete: true,
      removeOnFail: true,
    });
  }

  /**
   * Not by BullMQ's `waitUntilFinished`: where Redis breaks while that looks, its rejection is nobody's and ends the process.
   * @returns the worker's answer. @throws Error when it takes longer than `timeoutMs`, or the worker failed.
   */
  async ask(sourceType: string, question: Omit<AskJob, 'deadline'>, timeoutMs: number): Promise<unknown> {
    const jobId = randomUUID();
    const late = new AbortController();
    const answered = new Promise<Outcome>((resolve) => this.asking.set(jobId, resolve));
    try {
      const outcome = await Promise.race([
        this.put(asksOf(sourceType), jobId, question, timeoutMs).then(() => answered),
        sleep(timeoutMs, { failure: 'no answer in time' }, { signal: late.signal }),
      ]);
      if ('failure' in outcome) throw new Error(outcome.failure);
      return outcome.answer;
    } finally {
      late.abort();
      this.asking.delete(jobId);
    }
  }

  private async put(name: string, jobId: string, question: Omit<AskJob, 'deadline'>, timeoutMs: number): Promise<void> {
    const now = await redisTime(this.redis);
    this.listen(name, now);
    const job: AskJob = { ...question, deadline: now + timeoutMs };
    await this.queue(name).add(job.kind, job, { jobId, removeOnComplete: { age: 60 }, removeOnFail: { age: 60 } });
  }

  /** Whether Redis answers. */
  async ping(): Promise<void> {
    await this.redis.ping();
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.events.values(), ...this.queues.values()].map((one) => one.close()));
    for (const redis of [this.redis, ...this.listening]) redis.disconnect();
  }

  private queue(name: string): Queue {
    let queue = this.queues.get(name);
    if (queue === undefined) {
      queue = new Queue(name, { connection: this.redis, prefix: PREFIX, skipVersionCheck: true });
      queue.on('error', () => undefined);
      this.queues.set(name, queue);
    }
    return queue;
  }

  /** Hears of all answers since `from` (ms, by the clock of Redis), however late its connection is there. */
  private listen(name: string, from: number): void {
    if (this.events.has(name)) return;
    const redis = consuming(this.url);
    this.listening.push(redis);
    const events = new QueueEvents(name, {
      ...{ connection: redis, prefix: PREFIX, skipVersionCheck: true },
      lastEventId: `${from - 1}-0`,
    });
    events.on('error', () => undefined);
    events.on('completed', ({ jobId, returnvalue }) => this.asking.get(jobId)?.({ answer: returnvalue }));
    events.on('failed', ({ jobId, failedReason }) => this.asking.get(jobId)?.({ failure: failedReason }));
    this.events.set(name, events);
  }
}

/** Questions under way at once. Many, for they wait for hosts: how many for one of them is the worker's to bound. */
const MOST_ASKED = 200;

export interface QueueConsumer {
  close(): Promise<void>;
}

/** The worker's end: `look` for each bell, `answer` for each question, with the time that is left for it, ms. */
export function consumeQueues(
  url: string,
  sourceType: string,
  handlers: { look(job: CommandJob): Promise<void>; answer(job: AskJob, leftMs: number): Promise<unknown> },
): QueueConsumer {
  const connections = [consuming(url), consuming(url)] as const;
  const options = { prefix: PREFIX, skipVersionCheck: true, maxStalledCount: 5 };
  const workers = [
    new Worker<CommandJob>(commandsOf(sourceType), (job: Job<CommandJob>) => handlers.look(job.data), {
      ...options,
      connection: connections[0],
      concurrency: 20,
    }),
    new Worker<AskJob>(
      asksOf(sourceType),
      async (job: Job<AskJob>) => {
        const left = job.data.deadline - (await redisTime(connections[1]));
        return left > 0 ? handlers.answer(job.data, left) : null;
      },
      {
        ...options,
        connection: connections[1],
        concurrency: MOST_ASKED,
      },
    ),
  ];
  for (const worker of workers) worker.on('error', () => undefined);
  return {
    close: async () => {
      await Promise.allSettled(workers.map((worker) => worker.close(true)));
      for (const redis of connections) redis.disconnect();
    },
  };
}

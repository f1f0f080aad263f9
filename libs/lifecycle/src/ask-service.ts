import type { Clock } from '@planasonix/core';
import type { WorkerStore } from '@planasonix/store';
import { LifecycleError } from './lifecycle-error.js';
import type { AskJob, QueueProducer } from './queues.js';

/** Two heartbeats: a worker that is late with one is there all the same. */
const LATE_MS = 4000;
const LOOK_MS = 200;

/** Questions that only a worker of the type can answer, for the driver of a source is in its app alone. */
export class AskService {
  constructor(
    private readonly workers: Pick<WorkerStore, 'live'>,
    private readonly queues: Pick<QueueProducer, 'ask' | 'ping'>,
    private readonly clock: Clock,
  ) {}

  /** @throws LifecycleError 409 `no_worker`, 503 `queue_unavailable` or `worker_busy`. */
  async ask(sourceType: string, question: Omit<AskJob, 'deadline'>, timeoutMs: number): Promise<unknown> {
    if (!(await this.isServed(sourceType)))
      throw new LifecycleError(
        409,
        'no_worker',
        `No worker of type ${sourceType} is running.`,
        'Start a worker of this type: npm start runs one of each, npx nx serve NAME one alone.',
      );
    await this.queues.ping().catch(() => {
      throw new LifecycleError(
        503,
        'queue_unavailable',
        'The queues (Redis) can not be reached.',
        'Check that the Redis of REDIS_URL is up.',
      );
    });
    try {
      return await this.queues.ask(sourceType, question, timeoutMs);
    } catch {
      throw new LifecycleError(
        503,
        'worker_busy',
        `No worker of type ${sourceType} answered within ${Math.round(timeoutMs / 1000)} s.`,
        'Try again.',
      );
    }
  }

  /** Invariant 7: "no worker" is said when none has been heard of for a while, not when one's heartbeat is late. */
  private async isServed(sourceType: string): Promise<boolean> {
    const until = this.clock.monotonic() + LATE_MS;
    while ((await this.workers.live(sourceType)) === 0) {
      if (this.clock.monotonic() >= until) return false;
      await this.clock.sleep(LOOK_MS);
    }
    return true;
  }
}

import type { Clock, EventLog, Log, PipelineOutput } from '@planasonix/core';
import type { DepartedLog, DepartedLogStore } from '@planasonix/store';

const EVERY_MS = 15_000;
/** What a gateway that died left behind is not put off for longer than it takes to begin. */
const FIRST_MS = 2_000;

export interface DepartedLogsDeps {
  readonly store: Pick<DepartedLogStore, 'due' | 'done'>;
  readonly eventLog: (output: PipelineOutput) => EventLog;
  readonly clock: Clock;
  readonly log: Log;
}

/** Tells the logs of deleted streams when they expire; goes on trying, so that none stays for ever. Any number at once. */
export class DepartedLogs {
  private readonly stopping = new AbortController();

  constructor(private readonly deps: DepartedLogsDeps) {}

  start(): void {
    void (async () => {
      for (let wait = FIRST_MS; await this.deps.clock.sleep(wait, this.stopping.signal); wait = EVERY_MS)
        await this.sweep();
    })();
  }

  stop(): void {
    this.stopping.abort();
  }

  /** All that are due. */
  async sweep(): Promise<void> {
    const { store, log } = this.deps;
    try {
      for (let one = await store.due(); one !== null && !this.stopping.signal.aborted; one = await store.due())
        await this.expire(one);
    } catch (error) {
      log.debug({ err: error }, 'logs of deleted streams could not be looked for');
    }
  }

  /** Never throws: one that can't be reached now is told later. */
  async expire(of: DepartedLog): Promise<void> {
    const { store, eventLog, log } = this.deps;
    try {
      await eventLog(of.output).expire(of.streamId, of.seconds, of.epoch);
      // The pipeline may have named this one before: what was written there goes as well.
      if (of.output.type !== 'redis_stream')
        await eventLog({ type: 'redis_stream' }).expire(of.streamId, of.seconds, of.epoch);
      await store.done(of.streamId);
    } catch (error) {
      log.warn({ streamId: of.streamId, err: error }, 'the log of a deleted stream could not be told to expire yet');
    }
  }
}

import { StreamError, type Clock, type Log } from '@planasonix/core';
import type { Forgotten, ForgottenStore } from '@planasonix/store';
import type { Sources } from './sources.js';

const EVERY_MS = 5_000;
const WITHIN_MS = 15_000;
const AT_ONCE = 4;

/** Goes on trying to give back what forced deletes left at the source: a forgotten slot fills the user's disk. */
export class Janitor {
  constructor(
    private readonly forgotten: ForgottenStore,
    private readonly sources: Sources,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    // Several, each at its own pace: a source that does not answer must not hold up the others.
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.sweep(signal)));
  }

  private async sweep(signal: AbortSignal): Promise<void> {
    while (await this.clock.sleep(EVERY_MS, signal))
      try {
        for (let one = await this.due(); one !== null && !signal.aborted; one = await this.due())
          await this.giveBack(one);
      } catch (error) {
        if (error instanceof StreamError)
          this.log.warn({ err: error }, 'what a deleted stream had left at its source can not be given back');
        else this.log.debug({ err: error }, 'the janitor could not work');
      }
  }

  private due(): Promise<Forgotten | null> {
    return this.forgotten.due(this.sources.type.type);
  }

  private async giveBack({ id, streamId, spec }: Forgotten): Promise<void> {
    try {
      const { remaining } = await this.sources.look(spec, (source) =>
        source.release({ force: true }, AbortSignal.timeout(WITHIN_MS)),
      );
      if (remaining.length > 0)
        await this.forgotten.failed(id, remaining.map((left) => `${left.what}: ${left.why}`).join('; '));
      else {
        await this.forgotten.done(id);
        this.log.info({ streamId }, 'what a deleted stream had left at its source is given back');
      }
    } catch (error) {
      await this.forgotten.failed(id, error instanceof Error ? error.message : 'unknown');
    }
  }
}

import type { Clock, Log } from '@planasonix/core';
import type { ForgottenStore } from '@planasonix/store';
import type { Sources } from './sources.js';

const EVERY_MS = 10_000;
const WITHIN_MS = 20_000;

/** Goes on trying to give back what forced deletes left at the source: a forgotten slot fills the user's disk. */
export class Janitor {
  constructor(
    private readonly forgotten: ForgottenStore,
    private readonly sources: Sources,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  async run(signal: AbortSignal): Promise<void> {
    while (await this.clock.sleep(EVERY_MS, signal))
      await this.round().catch((error: unknown) => this.log.debug({ err: error }, 'the janitor could not work'));
  }

  async round(): Promise<void> {
    for (
      let one = await this.forgotten.due(this.sources.type.type);
      one !== null;
      one = await this.forgotten.due(this.sources.type.type)
    ) {
      const { id, streamId, spec } = one;
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
}

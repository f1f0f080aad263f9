import { StreamError, type EventLog, type PipelineOutput, type ReleaseReport, type Steps } from '@planasonix/core';
import type { Actor, ForgottenStore, PgStreamLedger, StreamCommands } from '@planasonix/store';
import { z } from 'zod';
import type { AskService } from './ask-service.js';
import type { CommandService } from './command-service.js';
import { LifecycleError } from './lifecycle-error.js';

const RELEASE_MS = 20_000;
/** The log of a deleted stream stays readable for a day. */
const KEEP_LOG_SECONDS = 86_400;

/** What a worker answers; it may be of another version. */
const releaseAnswer: z.ZodType<Pick<ReleaseReport, 'remaining'>> = z.object({
  remaining: z.array(z.object({ what: z.string(), why: z.string(), code: z.string() })),
});

export interface DeleteDeps {
  readonly commands: StreamCommands;
  readonly ledger: Pick<PgStreamLedger, 'spec'>;
  readonly service: CommandService;
  readonly asks: AskService;
  readonly forgotten: ForgottenStore;
  readonly kick: () => void;
  readonly nudge: (streamId: string) => void;
  readonly eventLog: (output: PipelineOutput) => EventLog;
  /** Absent: nobody asks. */
  readonly step?: Steps;
}

/** Delete: fence, stop, drop, verify, remove (trap 33). What can't be given back is refused, or with `force` recorded. */
export class DeleteService {
  constructor(private readonly deps: DeleteDeps) {}

  /** @returns when it was deleted. @throws LifecycleError; then the stream is `stopped` and nothing is lost. */
  async remove(
    actor: Actor,
    streamId: string,
    options: { readonly force: boolean; readonly purge: boolean },
  ): Promise<Date> {
    const { commands, ledger, service, forgotten } = this.deps;
    const row = await commands.beginDelete(actor, streamId);
    if (row === null) throw new LifecycleError(404, 'not_found', 'There is no such stream.');
    this.deps.kick();
    this.deps.nudge(streamId);
    try {
      await service.confirmed(streamId, row.generation, 'stopped', null);
      const spec = await ledger.spec(streamId);
      if (spec === null) throw new LifecycleError(404, 'not_found', 'There is no such stream.');
      // What a stream makes at its source it remembers first; with nothing remembered no worker is needed.
      const made = Object.keys(spec.owned).length > 0;
      const held = made ? await this.release(spec.sourceType, streamId, options.force) : null;
      this.deps.step?.('delete-released');
      const log = this.deps.eventLog(spec.output);
      // Under the row's epoch, so that a position that is being set meanwhile comes too late (Invariant 3).
      await log.expire(streamId, options.purge ? 0 : KEEP_LOG_SECONDS, spec.epoch).catch((error: unknown) => {
        if (options.force) return;
        throw new LifecycleError(
          503,
          'log_unavailable',
          'The log can not be reached; nothing was removed.',
          error instanceof StreamError ? error.hint : null,
        );
      });
      this.deps.step?.('delete-expired');
      const left = held === null ? null : forgotten.row(spec, held);
      if (!(await commands.finishDelete(actor, streamId, left)))
        throw new LifecycleError(404, 'not_found', 'There is no such stream.');
      return new Date();
    } catch (error) {
      await commands.abortDelete(streamId).catch(() => undefined);
      throw error;
    }
  }

  /** @returns what is left for the janitor, or `null` when all was given back. */
  private async release(
    sourceType: string,
    streamId: string,
    force: boolean,
  ): Promise<ReleaseReport['remaining'] | null> {
    try {
      const answer = releaseAnswer.safeParse(
        await this.deps.asks.ask(sourceType, { kind: 'release', streamId, force }, RELEASE_MS),
      );
      if (!answer.success)
        throw new LifecycleError(503, 'worker_busy', 'The worker did not say what it gave back.', 'Try again.');
      const { remaining } = answer.data;
      const [first] = remaining;
      if (first === undefined) return null;
      if (force) return remaining;
      const code = first.code === 'active_consumers' ? 'active_consumers' : 'source_unreachable';
      throw new LifecycleError(
        409,
        code,
        `${first.what}: ${first.why}`,
        'End the other consumer or make the source reachable; or delete with force=true, which leaves the rest to the janitor.',
      );
    } catch (error) {
      if (!force || !(error instanceof LifecycleError)) throw error;
      return [{ what: 'everything at the source', why: error.message, code: error.code }];
    }
  }
}

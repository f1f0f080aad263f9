import {
  STREAM_ERRORS,
  StreamError,
  type EventLog,
  type PipelineOutput,
  type ReleaseReport,
  type Steps,
  type StreamSpec,
} from '@planasonix/core';
import type {
  Actor,
  BegunDeletion,
  ForgottenStore,
  PgStreamLedger,
  StreamCommands,
  StreamDeletion,
} from '@planasonix/store';
import { z } from 'zod';
import type { AskService } from './ask-service.js';
import type { CommandService } from './command-service.js';
import type { DepartedLogs } from './departed-logs.js';
import { LifecycleError } from './lifecycle-error.js';

const RELEASE_MS = 20_000;
/** The log of a deleted stream stays readable for a day. */
const KEEP_LOG_SECONDS = 86_400;

/** What a worker answers; it may be of another version. */
const releaseAnswer: z.ZodType<Pick<ReleaseReport, 'remaining'>> = z.object({
  remaining: z.array(z.object({ what: z.string(), why: z.string(), code: z.string() })),
});

export interface DeleteDeps {
  readonly commands: Pick<StreamCommands, 'view' | 'fence'>;
  readonly deletion: StreamDeletion;
  readonly ledger: Pick<PgStreamLedger, 'spec'>;
  readonly service: CommandService;
  readonly asks: AskService;
  readonly forgotten: ForgottenStore;
  readonly logs: Pick<DepartedLogs, 'expire'>;
  readonly kick: () => void;
  readonly nudge: (streamId: string) => void;
  readonly eventLog: (output: PipelineOutput) => EventLog;
  /** Absent: nobody asks. */
  readonly step?: Steps;
}

/** Delete: fence, stop, drop, verify, remove (trap 33). What can't be given back is refused, or with `force` recorded. */
export class DeleteService {
  constructor(private readonly deps: DeleteDeps) {}

  /** @returns when it was deleted. @throws LifecycleError; then the stream is `stopped`, or as before, and nothing is lost. */
  async remove(
    actor: Actor,
    streamId: string,
    options: { readonly force: boolean; readonly purge: boolean },
  ): Promise<Date> {
    const { deletion, ledger, forgotten } = this.deps;
    const begun = await deletion.begin(actor, streamId);
    if (begun.kind !== 'begun')
      throw begun.kind === 'missing' ? missing() : new LifecycleError(409, 'deleting', 'The stream is being deleted.');
    const { generation } = begun;
    this.deps.kick();
    this.deps.nudge(streamId);
    let stopped = false;
    try {
      await this.stop(streamId, begun, options.force);
      stopped = !['created', 'stopped'].includes(begun.before.status);
      const spec = await ledger.spec(streamId);
      if (spec === null) throw missing();
      // What a stream makes at its source it remembers first; with nothing remembered no worker is needed.
      const made = Object.keys(spec.owned).length > 0;
      const held = made ? await this.release(spec.sourceType, streamId, options.force) : null;
      // What is left could never be given back: the janitor needs the secrets that go with the row.
      if (held !== null && spec.sealed !== undefined) throw sealed(spec.sealed);
      this.deps.step?.('delete-released');
      if (!options.force) await this.bar(spec);
      const { output, epoch } = spec;
      const log = { streamId, output, epoch, seconds: options.purge ? 0 : KEEP_LOG_SECONDS };
      const left = held === null ? null : forgotten.row(spec, held);
      const end = await deletion.finish(actor, streamId, generation, log, left);
      if (end === 'missing') throw missing();
      if (end === 'superseded') throw superseded();
      this.deps.step?.('delete-removed');
      await this.deps.logs.expire(log);
      return new Date();
    } catch (error) {
      await deletion.abort(streamId, generation).catch(() => undefined);
      throw stopped ? saysStopped(error) : error;
    }
  }

  /** With `force`, the row alone bars an owner whom the log can't be told of: it is removed in a moment. */
  private async stop(streamId: string, { generation, before }: Begun, force: boolean): Promise<void> {
    const { commands, service } = this.deps;
    try {
      await service.confirmed(streamId, generation, 'stopped', force ? null : before);
    } catch (error) {
      if (!force || !(error instanceof LifecycleError) || error.code !== 'log_unavailable') throw error;
      const view = await commands.view(streamId);
      if (view === null) throw missing();
      if (!(await commands.fence(streamId, { generation, epoch: view.epoch, status: 'stopped' }))) throw superseded();
    }
  }

  /** The log is there, and a position that is being set under a lower epoch comes too late (Invariant 3). */
  private async bar({ id, output, epoch }: StreamSpec): Promise<void> {
    try {
      await this.deps.eventLog(output).fence(id, epoch);
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      throw new LifecycleError(503, 'log_unavailable', 'The log can not be reached; nothing was removed.', error.hint);
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

/** It ran, and does not now, although it was not deleted: whoever asked for that hears of it. */
function saysStopped(error: unknown): unknown {
  if (!(error instanceof LifecycleError) || ['not_found', 'superseded'].includes(error.code)) return error;
  const { httpStatus, code, message, hint, details } = error;
  const said = /[.!?]$/.test(message) ? message : `${message}.`;
  return new LifecycleError(httpStatus, code, `${said} It was not deleted, and is stopped now.`, hint, details);
}

type Begun = Extract<BegunDeletion, { kind: 'begun' }>;

const sealed = (why: string): LifecycleError =>
  new LifecycleError(
    409,
    'secrets_sealed',
    `${why} Without them nothing can be given back at the source.`,
    STREAM_ERRORS.secrets_sealed.hint,
  );

const missing = (): LifecycleError => new LifecycleError(404, 'not_found', 'There is no such stream.');

const superseded = (): LifecycleError =>
  new LifecycleError(
    409,
    'superseded',
    'A later command overtook the deletion; the stream is there.',
    'Read the stream: it shows what holds now.',
  );

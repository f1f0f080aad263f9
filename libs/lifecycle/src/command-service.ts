import {
  allowedCommands,
  StreamError,
  type Clock,
  type EventLog,
  type OnLostPosition,
  type PipelineOutput,
  type Steps,
  type StreamCommand,
  type StreamStatus,
} from '@planasonix/core';
import type { Actor, CommandView, PgStreamLedger, StreamCommands } from '@planasonix/store';
import { LifecycleError } from './lifecycle-error.js';

/** What a worker has to confirm a command before it is fenced off. */
export const CONFIRM_MS = 5000;

export interface CommandDeps {
  readonly commands: StreamCommands;
  readonly ledger: Pick<PgStreamLedger, 'spec'>;
  /** Ring the bell now instead of at the next poll. */
  readonly kick: () => void;
  /** Tells the owner to look at the row. Lossy. */
  readonly nudge: (streamId: string) => void;
  readonly eventLog: (output: PipelineOutput) => EventLog;
  readonly clock: Clock;
  /** Absent: nobody asks. */
  readonly step?: Steps;
}

export interface Answer {
  readonly status: StreamStatus;
  readonly updatedAt: Date;
}

/** start, stop, pause and resume: accept, ring, wait until it is true, and answer that. Invariant 7. */
export class CommandService {
  constructor(private readonly deps: CommandDeps) {}

  /** @throws LifecycleError in the words of the contract. */
  async execute(
    actor: Actor,
    streamId: string,
    command: StreamCommand,
    onLostPosition: OnLostPosition | null = null,
  ): Promise<Answer> {
    const outcome = await this.deps.commands.accept(actor, streamId, command, onLostPosition);
    switch (outcome.kind) {
      case 'missing':
        throw missing();
      case 'deleting':
        throw new LifecycleError(409, 'deleting', 'The stream is being deleted.');
      case 'invalid':
        throw invalid(outcome.from, command);
      case 'position_lost':
        throw new LifecycleError(
          409,
          'position_lost',
          `The position of the stream is lost (${outcome.stream.last_error?.code ?? 'unknown'}): say how to go on.`,
          'Start with {"onLostPosition":"resnapshot"} to read all rows again, or {"onLostPosition":"skip"} to go on from now and lose what lies between.',
        );
      case 'position_pending':
        throw new LifecycleError(
          409,
          'position_pending',
          'A position was being set and it is not known how far that got.',
          'Set it once more (PUT …/position), then start.',
        );
      case 'noop': {
        const { stream, transition } = outcome;
        const settled = stream.generation === stream.observed_generation || transition.to === 'starting';
        return settled
          ? { status: transition.to, updatedAt: stream.updated_at }
          : this.confirmed(streamId, stream.generation, transition.to, null);
      }
      case 'accepted': {
        const { stream, transition } = outcome;
        this.deps.step?.('outbox-written');
        this.deps.kick();
        this.deps.nudge(streamId);
        if (!transition.confirm) return { status: transition.to, updatedAt: stream.updated_at };
        return this.confirmed(streamId, stream.generation, transition.to, {
          status: stream.status,
          desired: beforeDesired(stream.status as StreamStatus),
        });
      }
    }
  }

  /**
   * Waits until generation `generation` has been carried out as `to`; after `CONFIRM_MS`, or at once where no worker
   * can be at it, bars the present owner and makes it so.
   * @param before what to go back to where the fence can't be raised; `null`: nothing of ours.
   */
  async confirmed(
    streamId: string,
    generation: number,
    to: StreamStatus,
    before: { status: string; desired: string } | null,
  ): Promise<Answer> {
    const { clock, commands } = this.deps;
    const deadline = clock.monotonic() + CONFIRM_MS;
    for (let wait = 4; ; wait = Math.min(wait * 1.5, 60)) {
      const view = await commands.view(streamId);
      if (view === null) throw missing();
      if (view.generation !== generation)
        throw new LifecycleError(
          409,
          'superseded',
          `A later command overtook this one; the stream is ${view.status}.`,
          `Its state now: ${view.status}.`,
        );
      if (view.observedGeneration >= generation) {
        if (view.status === to) return { status: to, updatedAt: view.updatedAt };
        if (view.status === 'error' && to !== 'stopped')
          throw new LifecycleError(
            409,
            'stream_error',
            'The stream failed while the command waited; last_error says why.',
            'Mend the cause, then start it.',
          );
      }
      const late = clock.monotonic() >= deadline;
      // Nobody to stop or pause: it can be made true right here. To run, a worker has to take it up.
      const idle = !view.leased && to !== 'running';
      if (idle || late || view.status === 'error') {
        const barred = await this.bar(view, to === 'running' ? 'starting' : to, before);
        if (barred !== null) return barred;
      }
      await clock.sleep(wait);
    }
  }

  /** The fence: the log first, then the row. `null`: the row moved on meanwhile, look again. Invariant 3. */
  private async bar(
    view: CommandView,
    status: StreamStatus,
    before: { status: string; desired: string } | null,
  ): Promise<Answer | null> {
    const { commands, ledger, eventLog } = this.deps;
    if (view.owned) {
      const spec = await ledger.spec(view.id);
      if (spec === null) throw missing();
      const log = eventLog(spec.output);
      try {
        await log.fence(view.id, view.epoch + 1);
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        if (before !== null) await commands.takeBack(view.id, view.generation, before);
        throw new LifecycleError(
          503,
          'log_unavailable',
          'The worker did not answer and the log can not be reached to bar it; nothing was changed.',
          error.hint,
        );
      }
    }
    if (!(await commands.fence(view.id, { generation: view.generation, epoch: view.epoch, status }))) return null;
    this.deps.nudge(view.id);
    const now = await commands.view(view.id);
    return now === null ? null : { status, updatedAt: now.updatedAt };
  }
}

/** What was wanted before, as far as the state tells. */
const beforeDesired = (status: StreamStatus): string =>
  status === 'paused' ? 'paused' : status === 'stopped' || status === 'created' ? 'stopped' : 'running';

const missing = (): LifecycleError => new LifecycleError(404, 'not_found', 'There is no such stream.');

function invalid(from: StreamStatus, command: StreamCommand): LifecycleError {
  const allowed = allowedCommands(from);
  return new LifecycleError(
    409,
    'invalid_transition',
    `A stream that is ${from} can not be ${past(command)}.`,
    `Allowed now: ${allowed.join(', ')}.`,
    [{ field: 'command', issue: `${command} is not allowed in state ${from}; allowed: ${allowed.join(', ')}` }],
  );
}

const past = (command: StreamCommand): string =>
  ({ start: 'started', stop: 'stopped', pause: 'paused', resume: 'resumed' })[command];

import {
  StreamError,
  type Clock,
  type EventLog,
  type PipelineOutput,
  type Positions,
  type Steps,
} from '@planasonix/core';
import {
  isAtRest,
  type Actor,
  type DraftStore,
  type KnownPositions,
  type PgStreamLedger,
  type PositionStore,
  type Stream,
  type StreamStore,
} from '@planasonix/store';
import { z } from 'zod';
import type { AskService } from './ask-service.js';
import { LifecycleError } from './lifecycle-error.js';

const SETTLE_MS = 10_000;
/** How long the log is tried again once it may have been written. */
const PLACE_MS = 2_500;
/** How often it is begun where a worker that looks after the stream came between, and how long that is waited for. */
const TRIES = 4;
const AGAIN_MS = 250;

/** What a worker answers; it may be of another version. */
const settleAnswer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('settled'), positions: z.array(z.tuple([z.string(), z.string()])) }),
  z.object({ kind: z.literal('refused'), code: z.string(), message: z.string(), hint: z.string() }),
  z.object({ kind: z.literal('unsupported') }),
]);

export interface PositionDeps {
  readonly streams: Pick<StreamStore, 'get'>;
  readonly positions: PositionStore;
  readonly drafts: Pick<DraftStore, 'put' | 'remove'>;
  readonly ledger: Pick<PgStreamLedger, 'spec'>;
  readonly asks: Pick<AskService, 'ask'>;
  readonly eventLog: (output: PipelineOutput) => EventLog;
  readonly clock: Clock;
  /** Absent: nobody asks. */
  readonly step?: Steps;
}

/** Where a stream goes on, set by hand while nobody reads: settled with the source, then log, then store. */
export class PositionService {
  constructor(private readonly deps: PositionDeps) {}

  async get({ workspaceId }: Pick<Actor, 'workspaceId'>, streamId: string): Promise<KnownPositions> {
    if ((await this.deps.streams.get(workspaceId, streamId)) === null) throw missing();
    return this.deps.positions.read(streamId);
  }

  /** @param wanted JSON as the user wrote it. @throws LifecycleError; then nothing has changed, unless it says so. */
  async set(actor: Actor, streamId: string, wanted: unknown): Promise<KnownPositions> {
    const { positions } = this.deps;
    const { begun, to, output } = await this.begun(actor, streamId, wanted);
    this.deps.step?.('position-begun');
    const log = this.deps.eventLog(output);
    try {
      await log.fence(streamId, begun.epoch); // Invariant 3: the log first
    } catch (error) {
      await positions.abandon(streamId, begun.epoch, begun.marked);
      throw logDown(error, 'The log can not be reached; the position is what it was.');
    }
    await this.place(log, streamId, begun.epoch, to);
    this.deps.step?.('position-placed');
    const known = await positions.finish(actor, streamId, begun, to);
    if (known === null) throw superseded();
    return known;
  }

  /**
   * Settled with the source, and marked. Workers look after streams that rest, and may take one for a moment: whatever
   * they did, it is settled anew. A command of a user in between is the later one, and it counts.
   */
  private async begun(actor: Actor, streamId: string, wanted: unknown) {
    const { streams, positions, ledger, clock } = this.deps;
    let first: Stream | null = null;
    for (let tries = 1; ; tries++) {
      const row = await streams.get(actor.workspaceId, streamId);
      if (row === null) throw missing();
      if (first !== null && row.generation !== first.generation) throw superseded();
      first ??= row;
      if (!isAtRest(row)) throw active(row.status);
      const to = await this.settled(actor, row.source_type, streamId, wanted);
      const spec = await ledger.spec(streamId);
      if (spec === null) throw missing();
      const begun = await positions.begin(actor, streamId, row, to);
      if (begun.kind === 'begun') return { begun, to, output: spec.output };
      if (begun.kind === 'missing') throw missing();
      if (begun.kind === 'deleting') throw new LifecycleError(409, 'deleting', 'The stream is being deleted.');
      if (tries < TRIES) await clock.sleep(AGAIN_MS);
      else if (begun.kind === 'superseded') throw superseded();
      else throw active((await streams.get(actor.workspaceId, streamId))?.status ?? 'unknown');
    }
  }

  /** What the user's words mean, as the source says. It lies sealed in the store meanwhile, never in a job. */
  private async settled(actor: Actor, sourceType: string, streamId: string, wanted: unknown): Promise<Positions> {
    const { drafts, asks } = this.deps;
    const draftId = await drafts.put(actor.workspaceId, 'settle', { position: wanted });
    const found = settleAnswer.safeParse(
      await asks
        .ask(sourceType, { kind: 'settle', streamId, draftId }, SETTLE_MS)
        .finally(() => void drafts.remove(draftId).catch(() => undefined)),
    );
    if (!found.success)
      throw new LifecycleError(503, 'worker_busy', 'The worker did not say what the position means.', 'Try again.');
    const answer = found.data;
    if (answer.kind === 'settled') return new Map(answer.positions);
    if (answer.kind === 'unsupported')
      throw new LifecycleError(
        409,
        'position_unsupported',
        `The position of a stream of type ${sourceType} can not be set.`,
      );
    const { code, message, hint } = answer;
    // Not a place at all, as against one that the source does not hold.
    const [status, refusal] = code === 'config_invalid' ? ([400, 'invalid_request'] as const) : REFUSED;
    throw new LifecycleError(status, refusal, message, hint, [{ field: 'position', issue: code }]);
  }

  /** The fate of a write whose answer was lost is unknown, so it is repeated; where that fails too, the mark stays. */
  private async place(log: EventLog, streamId: string, epoch: number, to: Positions): Promise<void> {
    const { clock } = this.deps;
    const deadline = clock.monotonic() + PLACE_MS;
    for (;;)
      try {
        return await log.place(streamId, epoch, to);
      } catch (error) {
        if (error instanceof StreamError && error.code === 'fenced') throw superseded();
        if (clock.monotonic() >= deadline)
          throw logDown(
            error,
            'The log was lost while the position was being set; the stream does not start until it is set once more.',
          );
        await clock.sleep(100);
      }
  }
}

const REFUSED = [409, 'position_refused'] as const;

const missing = (): LifecycleError => new LifecycleError(404, 'not_found', 'There is no such stream.');

const active = (status: string): LifecycleError =>
  new LifecycleError(
    409,
    'stream_active',
    `The position can be set while a stream is stopped or in error; it is ${status}.`,
    'Stop the stream first.',
  );

const superseded = (): LifecycleError =>
  new LifecycleError(
    409,
    'superseded',
    'A later command overtook the setting of the position.',
    'Read the stream and its position: they show what holds now.',
  );

function logDown(error: unknown, message: string): unknown {
  return error instanceof StreamError ? new LifecycleError(503, 'log_unavailable', message, error.hint) : error;
}

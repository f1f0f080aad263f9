import {
  type Check,
  type ConnectionReport,
  type ConnectionSettings,
  failedTest,
  findingOf,
  passes,
  type PipelineOutput,
  type Position,
  type ReleaseReport,
  type SnapshotOrder,
  type Source,
  StreamError,
  type StreamSpec,
  systemClock,
  toldText,
} from '@planasonix/core';
import { within } from '@planasonix/engine';
import type { AskJob } from '@planasonix/lifecycle';
import type { ConnectionStore, DraftStore, PgStreamLedger } from '@planasonix/store';
import { discretionOf } from './discreet.js';
import { HostLanes } from './host-lanes.js';
import type { LogBook } from './log-book.js';
import type { Looked, Sources } from './sources.js';

/** Findings about the config itself: a stream that has them is not created. */
const CONFIG_FINDINGS = new Set(['no_tables', 'config_invalid']);
/** Of a source without a connection the hosts are in its config, too. */
const OWN_FINDINGS = new Set([...CONFIG_FINDINGS, 'host_forbidden']);

/** So long a check looks for the place of the stream: that it is lost shows at once. */
const PLACE_MS = 2_000;

export interface CheckAnswer {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

export interface OrderAnswer {
  /** Whether sources of this type take orders at all. */
  readonly supported: boolean;
  readonly checks: readonly Check[];
}

export type SettleAnswer =
  | { readonly kind: 'settled'; readonly positions: readonly (readonly [partition: string, position: Position])[] }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string; readonly hint: string }
  | { readonly kind: 'unsupported' };

/** What a question finds in its draft. */
export interface Draft {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly connectionId?: string;
  readonly workspaceId?: string;
  /** Absent: it is not there yet. */
  readonly streamId?: string;
  /** Where the events of the stream are to go. */
  readonly pipeline?: { readonly id: string; readonly output: PipelineOutput };
  readonly order?: Omit<SnapshotOrder, 'id'>;
  readonly position?: unknown;
  readonly connection?: { readonly type: string; readonly config: Readonly<Record<string, unknown>> };
}

export interface AnswerDeps {
  readonly sources: Sources;
  readonly ledger: Pick<PgStreamLedger, 'spec' | 'positions'>;
  readonly connections: Pick<ConnectionStore, 'settingsOf'>;
  readonly drafts: Pick<DraftStore, 'read'>;
  readonly logs: LogBook;
}

/** Answers the gateway's questions about sources. An answer is plain JSON without a secret. */
export class Answers {
  private readonly lanes = new HostLanes();

  constructor(private readonly deps: AnswerDeps) {}

  /** @param leftMs how long somebody waits for it */
  answer(job: AskJob, leftMs: number): Promise<unknown> {
    const within = AbortSignal.timeout(Math.max(1, leftMs - 100));
    switch (job.kind) {
      case 'check':
        return this.check(job.streamId ?? '', within);
      case 'connection_test':
        return this.testConnection(job, within);
      case 'tables':
        return this.tables(job.draftId ?? '', within);
      case 'release':
        return this.release(job.streamId ?? '', job.force === true, within);
      case 'order':
        return this.order(job.streamId ?? '', job.draftId ?? '', within);
      case 'settle':
        return this.settle(job.streamId ?? '', job.draftId ?? '', within);
      case 'sample':
        // Nothing is sent to a source that is read from.
        return Promise.resolve({ kind: 'unsupported' });
    }
  }

  private look<T>(spec: Looked, signal: AbortSignal, use: (source: Source) => Promise<T>, of?: string): Promise<T> {
    const { sources, ledger } = this.deps;
    const reached = of === undefined ? undefined : () => ledger.positions(of);
    return this.lanes.run(spec.connection, signal, () => sources.look(spec, use, reached));
  }

  private async check(streamId: string, signal: AbortSignal): Promise<CheckAnswer | null> {
    const spec = await this.deps.ledger.spec(streamId);
    if (spec === null) return null;
    const [source, log] = await Promise.all([
      this.look(
        spec,
        signal,
        async (one) => {
          const found = await one.check(signal);
          return passes(found) ? [...(await this.lostPlace(spec, one, signal)), ...found] : found;
        },
        streamId,
      ).catch(aboutConfig),
      this.deps.logs.of(spec.output).check(spec.id),
    ]);
    const checks = [...source, ...log];
    return { ok: passes(checks), checks };
  }

  /** A source is asked without its place: whether it still has that is found by looking at the lag, where nobody reads. */
  private async lostPlace(spec: StreamSpec, source: Source, signal: AbortSignal): Promise<readonly Check[]> {
    if (!['stopped', 'error'].includes(spec.status) || spec.onLostPosition !== null) return [];
    const positions = await this.deps.ledger.positions(spec.id);
    if (positions.size === 0) return [];
    try {
      const late = AbortSignal.any([signal, AbortSignal.timeout(PLACE_MS)]);
      await within(systemClock, PLACE_MS, source.lag(positions, late));
    } catch (error) {
      if (error instanceof StreamError && error.recourse === 'lost') return [findingOf(error)];
    }
    return [];
  }

  private async tables(draftId: string, signal: AbortSignal): Promise<CheckAnswer | null> {
    const draft = (await this.deps.drafts.read(draftId)) as Draft | null;
    if (draft === null) return null;
    const connection =
      draft.connectionId === undefined ? null : await this.deps.connections.settingsOf(draft.connectionId);
    const { config = {}, streamId: id = 'str_draft', workspaceId, pipeline } = draft;
    const of = { id, name: 'draft', config, connection, workspaceId, pipeline, output: pipeline?.output, owned: {} };
    const checks = await this.look(of, signal, (source) => source.check(signal), draft.streamId).catch(aboutConfig);
    const told = connection === null ? OWN_FINDINGS : CONFIG_FINDINGS;
    const about = checks.filter((check) => told.has(check.code));
    return { ok: passes(about), checks: about };
  }

  private async testConnection(job: AskJob, signal: AbortSignal): Promise<ConnectionReport | null> {
    const { type, outbound } = this.deps.sources;
    const settings = await this.settings(job).catch(sealedError);
    if (settings instanceof StreamError) return failedTest(settings);
    if (settings === null) return null;
    const discretion = discretionOf(settings);
    const report = discretion.value(
      await discretion.during(this.lanes.run(settings, signal, () => type.testConnection(settings, outbound, signal))),
    );
    return { ...report, serverVersion: report.serverVersion && toldText(report.serverVersion) };
  }

  private async settings(job: AskJob): Promise<ConnectionSettings | null> {
    if (job.connectionId !== undefined) return this.deps.connections.settingsOf(job.connectionId);
    const draft = (await this.deps.drafts.read(job.draftId ?? '')) as Draft | null;
    return draft?.connection === undefined ? null : { id: 'conn_draft', ...draft.connection };
  }

  private async order(streamId: string, draftId: string, signal: AbortSignal): Promise<OrderAnswer | null> {
    const spec = await this.deps.ledger.spec(streamId);
    const { order } = ((await this.deps.drafts.read(draftId)) ?? {}) as Draft;
    if (spec === null || order === undefined) return null;
    const asked = this.look(spec, signal, async (source) =>
      source.ordersChanged === undefined
        ? { supported: false, checks: [] }
        : { supported: true, checks: (await source.checkOrder?.(order, signal)) ?? [] },
    );
    return asked.catch((error: unknown) => ({ supported: true, checks: [findingOf(sealedError(error))] }));
  }

  private async settle(streamId: string, draftId: string, signal: AbortSignal): Promise<SettleAnswer | null> {
    const spec = await this.deps.ledger.spec(streamId);
    const draft = (await this.deps.drafts.read(draftId)) as Draft | null;
    if (spec === null || draft === null) return null;
    const from = await this.deps.ledger.positions(streamId);
    try {
      return await this.look(spec, signal, async (source): Promise<SettleAnswer> => {
        if (source.settle === undefined) return { kind: 'unsupported' };
        return { kind: 'settled', positions: [...(await source.settle(draft.position, from, signal))] };
      });
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      return { kind: 'refused', code: error.code, message: error.message, hint: error.hint };
    }
  }

  private async release(streamId: string, force: boolean, signal: AbortSignal): Promise<ReleaseReport> {
    const spec = await this.deps.ledger.spec(streamId);
    if (spec === null) return { released: [], remaining: [] };
    return this.look(spec, signal, (source) => source.release({ force }, signal)).catch((error: unknown) => {
      const { code, message } = sealedError(error);
      return { released: [], remaining: [{ what: 'everything at the source', why: message, code }] };
    });
  }
}

/** A config of which no source can be made is a finding like others; whatever else went wrong is none. */
function aboutConfig(error: unknown): readonly Check[] {
  return [findingOf(error instanceof StreamError && CONFIG_FINDINGS.has(error.code) ? error : sealedError(error))];
}

/** Secrets that can't be read here are an answer as well. @throws whatever else it is */
function sealedError(error: unknown): StreamError {
  if (!(error instanceof StreamError) || error.code !== 'secrets_sealed') throw error;
  return error;
}

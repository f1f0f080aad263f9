import { STREAM_ERRORS, type Check, type ConnectionReport, type SnapshotOrder } from '@planasonix/core';
import { LifecycleError, type AskService } from '@planasonix/lifecycle';
import type { DraftStore } from '@planasonix/store';
import { ApiError, badField } from '../contract/api-error.js';
import { isObject } from '../input/casing.js';
import type { SourceCatalog } from './source-catalog.js';

const CHECK_MS = 10_000;
const TABLES_MS = 3000;
const ORDER_MS = 8000;
const SAMPLE_MS = 8000;

/** What a stream is to be. */
export interface StreamDraft {
  /** Absent: it is not there yet. */
  readonly streamId?: string;
  readonly connectionId: string | null;
  readonly config: Readonly<Record<string, unknown>>;
  /** Where its events go. Absent: into nothing that a source could read. */
  readonly pipeline?: { readonly id: string; readonly output: Readonly<Record<string, unknown>> };
}

/** What only a worker can tell: it has the driver. What it needs for that lies sealed in the store, never in a job. */
export class WorkerQuestions {
  constructor(
    private readonly asks: Pick<AskService, 'ask'>,
    private readonly drafts: Pick<DraftStore, 'put' | 'remove'>,
    private readonly catalog: Pick<SourceCatalog, 'testerOf'>,
  ) {}

  /** Preflight of a stream. @throws LifecycleError `no_worker`, `queue_unavailable`. */
  async check(sourceType: string, streamId: string): Promise<readonly Check[]> {
    try {
      const answer = await this.asks.ask(sourceType, { kind: 'check', streamId }, CHECK_MS);
      // Invariant 7: nothing that was looked at is not nothing that was found.
      return isObject(answer) && Array.isArray(answer['checks']) ? checks(answer) : [silent(NO_ANSWER)];
    } catch (error) {
      if (!isBusy(error)) throw error;
      return [silent(error.message)];
    }
  }

  testStored(type: string, connectionId: string): Promise<ConnectionReport> {
    return this.test(type, { connectionId });
  }

  async testDraft(
    workspaceId: string,
    type: string,
    config: Readonly<Record<string, unknown>>,
  ): Promise<ConnectionReport> {
    const draftId = await this.drafts.put(workspaceId, 'connection_test', { connection: { type, config } });
    return this.test(type, { draftId }).finally(() => this.forget(draftId));
  }

  /**
   * Whether any table matches, as far as a worker can say within 3 s; a source that can't be reached proves nothing.
   * @throws ApiError `no_tables`, `host_forbidden`, 400 for the config
   */
  async expectTables(workspaceId: string, sourceType: string, of: StreamDraft): Promise<void> {
    const findings = await this.wrongWith(workspaceId, sourceType, of);
    const wrong = findings.find(({ code }) => code === 'config_invalid');
    if (wrong !== undefined) throw badField('config', wrong.message, wrong.fix ?? undefined);
    const forbidden = findings.find(({ code }) => code === 'host_forbidden');
    if (forbidden !== undefined)
      throw new ApiError('host_forbidden', {
        message: forbidden.message,
        hint: forbidden.fix ?? undefined,
        details: [{ field: 'config', issue: forbidden.message }],
      });
    const missing = findings.find(({ code }) => code === 'no_tables');
    if (missing === undefined) return;
    throw new ApiError('no_tables', {
      message: missing.message,
      hint: missing.fix ?? undefined,
      details: [{ field: 'config.tables', issue: 'matches no table of the source' }],
    });
  }

  /**
   * Whether a stream that there is may write to where `of.pipeline` says, as far as a worker can say within 3 s.
   * @throws ApiError 400 where it would feed itself, alone or over others
   */
  async expectOutput(workspaceId: string, sourceType: string, name: string, of: StreamDraft): Promise<void> {
    const findings = await this.wrongWith(workspaceId, sourceType, of);
    const wrong = findings.find(({ code }) => code === 'config_invalid');
    if (wrong !== undefined)
      throw badField('output.topic', `does not go with the stream "${name}": ${wrong.message}`, wrong.fix ?? undefined);
  }

  /**
   * Whether the source would carry out an order, where a worker is alive to say so. A source that can't be reached now
   * proves nothing: an order that turns out to be impossible fails when its turn comes.
   * @throws ApiError `snapshot_unsupported`, 400 for tables or condition. @throws LifecycleError 503.
   */
  async expectOrder(
    stream: { readonly id: string; readonly workspace_id: string; readonly source_type: string },
    order: Omit<SnapshotOrder, 'id'>,
  ): Promise<void> {
    const draftId = await this.drafts.put(stream.workspace_id, 'order', { order });
    const answer = await this.asks
      .ask(stream.source_type, { kind: 'order', streamId: stream.id, draftId }, ORDER_MS)
      .catch((error: unknown) => {
        if (error instanceof LifecycleError && error.code === 'no_worker') return { supported: true };
        throw error;
      })
      .finally(() => this.forget(draftId));
    const supported = isObject(answer) ? answer['supported'] : undefined;
    if (typeof supported !== 'boolean') throw new ApiError('worker_busy');
    if (!supported) throw new ApiError('snapshot_unsupported');
    const wrong = checks(answer).filter(({ severity, code }) => severity === 'error' && !passing(code));
    const [first] = wrong;
    if (first === undefined) return;
    throw new ApiError(NO_TABLES.has(first.code) ? 'no_tables' : 'invalid_request', {
      message: first.message,
      hint: first.fix ?? undefined,
      details: wrong.map(({ code, message }) => ({
        field: code === 'where_invalid' ? 'where' : 'tables',
        issue: message,
      })),
    });
  }

  /**
   * Sends the stream a delivery of its own. @throws ApiError `sample_unsupported`, `log_full`, and `secrets_sealed` or
   * `config_invalid` for one that can't be served. @throws LifecycleError.
   */
  async sample(sourceType: string, streamId: string): Promise<object> {
    const answer = await this.asks.ask(sourceType, { kind: 'sample', streamId }, SAMPLE_MS);
    const kind = isObject(answer) ? answer['kind'] : null;
    if (kind === 'unsupported') throw new ApiError('sample_unsupported');
    if (kind === 'unknown_stream') throw new ApiError('not_found');
    if (kind === 'waiting') throw new ApiError('log_full');
    if (isObject(answer) && kind === 'unserved')
      throw new ApiError(answer['code'] === 'secrets_sealed' ? 'secrets_sealed' : 'config_invalid');
    if (!isObject(answer) || kind !== 'sent') throw new ApiError('worker_busy');
    const { status, event_id, body } = answer;
    return { delivered: status === 200, status, event_id, answer: body };
  }

  private async wrongWith(workspaceId: string, sourceType: string, of: StreamDraft): Promise<readonly Check[]> {
    const { connectionId, pipeline, ...draft } = of;
    const draftId = await this.drafts.put(workspaceId, 'tables', {
      ...{ ...draft, workspaceId, pipeline: pipeline && { id: pipeline.id, output: pipeline.output } },
      ...(connectionId === null ? {} : { connectionId }),
    });
    const answer = await this.asks
      .ask(sourceType, { kind: 'tables', draftId }, TABLES_MS)
      .catch((error: unknown) => {
        if (error instanceof LifecycleError) return null;
        throw error;
      })
      .finally(() => this.forget(draftId));
    return checks(answer).filter(({ severity }) => severity === 'error');
  }

  private async test(type: string, of: { connectionId?: string; draftId?: string }): Promise<ConnectionReport> {
    const tester = await this.catalog.testerOf(type);
    if (tester === null)
      throw new ApiError('no_worker', {
        message: `No worker that reads from ${type} has ever announced itself.`,
        hint: 'Start a worker that does.',
      });
    try {
      const answer = await this.asks.ask(tester.type, { kind: 'connection_test', ...of }, CHECK_MS);
      if (isReport(answer)) return whole(answer);
      throw new ApiError('no_worker', { message: 'The worker gave no answer.' });
    } catch (error) {
      if (!isBusy(error)) throw error;
      return {
        ok: false,
        latencyMs: null,
        serverVersion: null,
        message: error.message,
        checks: [silent(error.message)],
      };
    }
  }

  /** Drafts end by themselves after a minute; this only makes it sooner. */
  private forget(draftId: string): void {
    void this.drafts.remove(draftId).catch(() => undefined);
  }
}

const NO_ANSWER = 'The worker did not say what it found.';

const NO_TABLES: ReadonlySet<string> = new Set(['no_tables', 'tables_missing']);

/** A finding that says how the source is at this moment, and nothing about what was asked. */
const passing = (code: string): boolean =>
  code in STREAM_ERRORS && STREAM_ERRORS[code as keyof typeof STREAM_ERRORS].recourse === 'retry';

const isBusy = (error: unknown): error is LifecycleError =>
  error instanceof LifecycleError && error.code === 'worker_busy';

const silent = (message: string): Check => ({
  code: 'source_unreachable',
  severity: 'error',
  message,
  fix: 'Check that the source answers from the workers, and try again.',
});

/** `{ok, checks}`. It comes over a queue: its form is looked at, not believed. */
const checks = (answer: unknown): readonly Check[] => {
  const found = isObject(answer) ? answer['checks'] : null;
  return Array.isArray(found)
    ? (found as Partial<Check>[])
        .filter((one) => typeof one?.code === 'string' && typeof one.message === 'string')
        .map(({ code, severity, message, fix }) => ({
          code: code!,
          severity: severity ?? 'error',
          message: message!,
          fix: fix ?? null,
        }))
    : [];
};

/** Every field is there, whichever version of a worker answered. */
const whole = ({
  ok,
  latencyMs,
  serverVersion,
  message,
  checks: found,
}: Partial<ConnectionReport>): ConnectionReport => ({
  ok: ok === true,
  latencyMs: latencyMs ?? null,
  serverVersion: serverVersion ?? null,
  message: message ?? '',
  checks: checks({ checks: found }),
});

const isReport = (answer: unknown): answer is ConnectionReport =>
  typeof answer === 'object' &&
  answer !== null &&
  typeof (answer as ConnectionReport).ok === 'boolean' &&
  Array.isArray((answer as ConnectionReport).checks);

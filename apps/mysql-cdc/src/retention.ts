import type { Clock, Lag } from '@planasonix/core';
import { walkLog, type WalkDeps } from './log-walk.js';
import { fileNumber } from './position.js';
import { variable, type LogFile } from './server.js';
import type { Session } from './session.js';
import { FIRST_BYTE } from './wire/log-skip.js';

const DAY_S = 86_400;
/** How often the server is asked how long it keeps its log. */
const ASK_MS = 10_000;

/** For how long the server keeps a file of its log once it is closed, s; `null`: until somebody throws it away. */
export async function keptSeconds(session: Session): Promise<number | null> {
  // MySQL 8.0.29 and later.
  if ((await variable(session, 'binlog_expire_logs_auto_purge')) === 'OFF') return null;
  const seconds = Number((await variable(session, 'binlog_expire_logs_seconds')) ?? 0);
  const days = Number((await variable(session, 'expire_logs_days')) ?? 0);
  const kept = seconds > 0 ? seconds : days * DAY_S;
  return kept > 0 ? kept : null;
}

/**
 * When the place of a stream is lost if nobody reads on. The server goes by the age of a file since it was closed, whoever
 * reads; it holds nothing back for a stream, so nothing is held, and by writing alone nothing is lost.
 */
export class LogRetention {
  private kept: number | null = null;
  private askedAt = Number.NEGATIVE_INFINITY;
  private closed: { readonly file: string; readonly atMs: number } | null = null;

  constructor(private readonly deps: WalkDeps) {}

  /**
   * @param file in which the stream would go on if it were interrupted now
   * @param files of the log, those from it on at least
   * @returns nothing where it can't be told now; whether the place is lost is said by those who look for it
   */
  async of(
    session: Session,
    file: string,
    files: readonly LogFile[],
    signal: AbortSignal,
  ): Promise<Pick<Lag, 'retention'>> {
    const { clock } = this.deps;
    try {
      if (clock.monotonic() - this.askedAt >= ASK_MS) {
        this.kept = await keptSeconds(session);
        this.askedAt = clock.monotonic();
      }
      const { kept } = this;
      const secondsToLoss = kept === null ? null : secondsLeft(kept, await this.closedAt(file, files, signal), clock);
      return { retention: { heldBytes: 0, bytesToLoss: null, secondsToLoss, budgetBytes: null } };
    } catch {
      return {};
    }
  }

  /** A file is closed when the next one begins; `null`: it is the last one. */
  private async closedAt(file: string, files: readonly LogFile[], signal: AbortSignal): Promise<number | null> {
    const next = files.find((one) => fileNumber(one.file) > fileNumber(file));
    if (next === undefined) return null;
    if (this.closed?.file === file) return this.closed.atMs;
    for await (const step of walkLog({ ...this.deps, signal }, { file: next.file, pos: FIRST_BYTE }))
      if (step.kind === 'head') {
        this.closed = { file, atMs: step.at * 1000 };
        return this.closed.atMs;
      }
    return null;
  }
}

/** One that is still written to has all its time before it. */
const secondsLeft = (kept: number, closedAtMs: number | null, clock: Clock): number =>
  closedAtMs === null ? kept : Math.max(0, kept - Math.floor((clock.now() - closedAtMs) / 1000));

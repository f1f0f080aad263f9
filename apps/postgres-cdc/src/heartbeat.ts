import type { Log } from '@planasonix/core';
import type { Client } from 'pg';
import { endSession } from './end-session.js';

/**
 * A logical message now and then. A quiet database on a busy server would never send anything of its own, and its slot
 * would hold back the WAL of all the others (trap 7). Where it is not allowed to write, it is silent.
 */
export class Heartbeat {
  private timer: NodeJS.Timeout | undefined;
  private session: Client | null = null;
  private busy = false;
  private refused = false;

  constructor(
    private readonly open: () => Promise<Client>,
    private readonly everyMs: number,
    private readonly log: Log,
  ) {}

  start(): void {
    this.timer = setInterval(() => void this.beat(), this.everyMs);
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    if (this.session !== null) await endSession(this.session);
    this.session = null;
  }

  /** A message now, in a transaction of its own: its commit flushes everything that was written before it. */
  mark(): void {
    void this.beat(true);
  }

  /** Flushed here is enough: a standby that is away must not hold up a mark. */
  private async opened(): Promise<Client> {
    const session = await this.open();
    await session.query('SET synchronous_commit = local');
    return session;
  }

  private async beat(transactional = false): Promise<void> {
    if (this.busy || this.refused) return;
    this.busy = true;
    try {
      this.session ??= await this.opened();
      await this.session.query("SELECT pg_catalog.pg_logical_emit_message($1, 'planasonix', '')", [transactional]);
    } catch (error) {
      const code = (error as { code?: string }).code;
      // Read-only (a standby) or not permitted: keepalives have to do.
      if (code === '25006' || code === '42501' || code === '55000') {
        clearInterval(this.timer);
        this.refused = true;
        this.log.info({ code }, 'the source takes no heartbeats; an idle slot moves with keepalives only');
      }
      if (this.session !== null) await endSession(this.session);
      this.session = null;
    } finally {
      this.busy = false;
    }
  }
}

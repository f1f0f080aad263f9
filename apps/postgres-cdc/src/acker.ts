import { lsnText } from './decode/index.js';

/** What the acker needs of the replication library. */
export interface Acknowledging {
  /** Adds one to the LSN before it is sent. */
  acknowledge(lsn: string, ping?: boolean): Promise<boolean>;
}

/** Half the time after which the server asks for a sign of life, and a third of when it gives us up. */
export function statusInterval(walSenderTimeoutMs: number): number {
  return walSenderTimeoutMs <= 0 ? 10_000 : Math.max(100, Math.min(10_000, Math.floor(walSenderTimeoutMs / 3)));
}

/** How often the server is asked to answer: its answer proves how far its WAL goes. */
const PING_EVERY_MS = 10_000;

/**
 * The only caller of the library's `acknowledge`. It is told what is durable and reports that place and no other,
 * whether a commit was settled, the server asked, or nothing happened for a while (traps 1, 2, 3).
 */
export class Acker {
  private durable: bigint;
  private sentAt = 0;
  private pingedAt = 0;

  constructor(
    private readonly service: Acknowledging,
    from: bigint,
    private readonly now: () => number,
  ) {
    this.durable = from;
  }

  /** Everything before `lsn` is durable elsewhere. Never goes back. */
  settle(lsn: bigint): void {
    if (lsn <= this.durable) return;
    this.durable = lsn;
    this.send(false);
  }

  get acknowledged(): bigint {
    return this.durable;
  }

  /** The server asks for a sign of life. */
  answer(): void {
    this.send(false);
  }

  /** Asks the server to say at once how far it is. */
  ask(): void {
    this.send(true);
  }

  /** To be called often: sends a status when `interval` has gone by without one, now and then with a question. */
  tick(intervalMs: number): void {
    const now = this.now();
    const ping = now - this.pingedAt >= PING_EVERY_MS;
    if (ping || now - this.sentAt >= intervalMs) this.send(ping);
  }

  private send(ping: boolean): void {
    this.sentAt = this.now();
    if (ping) this.pingedAt = this.sentAt;
    // The library adds one: told the end of a commit, it would confirm the first byte of the next one too, and two
    // adjacent commits would lose the second (trap 1).
    const reported = this.durable > 0n ? this.durable - 1n : 0n;
    void this.service.acknowledge(lsnText(reported), ping).catch(() => undefined);
  }
}

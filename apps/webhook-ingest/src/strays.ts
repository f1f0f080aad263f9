import type { Clock, Log } from '@planasonix/core';

/** What is sent to the door and reaches no stream, so that no user is told of it. */
export type Stray =
  /** Nobody's address; another path. */
  | 'address_unknown'
  | 'path_unknown'
  /** Answered 400, 408 and 431 below the requests. */
  | 'no_http'
  | 'too_slow'
  | 'headers_too_large'
  /** A connection that failed in its TLS handshake, or ended amid a request. */
  | 'tls_failed'
  | 'broken_off'
  /** A connection that was closed, for it sent too far ahead of its answers, or what is not HTTP behind them. */
  | 'sent_ahead'
  | 'too_many_connections'
  /** A fault of ours. */
  | 'failed';

const EVERY_MS = 60_000;

/** How many of each kind, told once a minute while there are any: kinds and numbers, and nothing of what was sent. */
export class Strays {
  #counts = new Map<Stray, number>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  count(kind: Stray): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (await this.clock.sleep(EVERY_MS, signal)) this.tell();
  }

  tell(): void {
    if (this.#counts.size === 0) return;
    this.log.info(Object.fromEntries(this.#counts), 'what was sent to the door and reached no stream');
    this.#counts = new Map();
  }
}

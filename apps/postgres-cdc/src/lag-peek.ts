import type { Clock, Lag } from '@planasonix/core';
import type { Client, ClientConfig } from 'pg';
import { Acker } from './acker.js';
import { StreamDecoder, parseLsn, type DecoderOptions } from './decode/index.js';
import type { PgPosition } from './position.js';
import { holds, slotState } from './slot.js';
import { WalConnection } from './wal-connection.js';

export interface PeekDeps {
  readonly control: Client;
  readonly config: ClientConfig;
  readonly slot: string;
  readonly publication: string;
  readonly serverVersion: number;
  readonly decoder: DecoderOptions;
  readonly clock: Clock;
}

const ASK_EVERY_MS = 100;

/**
 * The lag of a stream that nobody reads: connects, reads up to the first change after `position`, and goes away again.
 * Acknowledges what the slot was told already and nothing more.
 */
export async function peekLag(deps: PeekDeps, position: PgPosition, signal: AbortSignal): Promise<Lag> {
  const state = await slotState(deps.control, deps.slot);
  holds(state, deps.slot, position);
  const { rows } = await deps.control.query<{ head: string }>(
    'SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text AS head',
  );
  const head = parseLsn(rows[0]!.head);
  const from = parseLsn(position.lsn);
  const backlogBytes = Number(head > from ? head - from : 0n);
  const done = (oldestPendingMs: number | null): Lag => ({
    oldestPendingMs,
    provedAtMs: deps.clock.now(),
    backlogBytes,
  });
  if (head <= from) return done(null);

  const decoder = new StreamDecoder(deps.decoder);
  let timer: NodeJS.Timeout | undefined;
  let connection: WalConnection | undefined;
  try {
    const first = await new Promise<number | null>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('the look at the lag took too long')), { once: true });
      let ended = false;
      connection = new WalConnection(deps.config, {
        data: (message, high, low) => {
          if (ended) return;
          // A change needs no table to be known for its transaction's time; only the first byte is looked at.
          const kind = message[0];
          if (kind === 0x42) decoder.feed(message, high, low);
          else if (kind === 0x49 || kind === 0x55 || kind === 0x44 || kind === 0x54) {
            ended = true;
            resolve(decoder.commitMs);
          }
        },
        keepalive: (walEnd) => {
          if (walEnd >= head) resolve(null);
        },
        failed: reject,
      });
      const acker = new Acker(connection.service, parseLsn(state?.confirmed_flush_lsn ?? '0/0'), () =>
        deps.clock.monotonic(),
      );
      timer = setInterval(() => acker.ask(), ASK_EVERY_MS);
      connection.open({ slot: deps.slot, publication: deps.publication, from, messages: false }).catch(reject);
    });
    return done(first);
  } finally {
    clearInterval(timer);
    await connection?.close();
  }
}

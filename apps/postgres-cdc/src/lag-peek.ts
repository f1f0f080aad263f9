import { StreamError, type Clock, type Lag } from '@planasonix/core';
import type { Client } from 'pg';
import { Acker } from './acker.js';
import { StreamDecoder, parseLsn, type DecoderOptions, type RelationInfo } from './decode/index.js';
import type { Holdings } from './holdings.js';
import { instanceOf } from './instance.js';
import type { PgPosition } from './position.js';
import { publicationState } from './publication.js';
import type { Sessions } from './sessions.js';
import { holds, slotState, walFlushed } from './slot.js';
import { WalConnection } from './wal-connection.js';

export interface PeekDeps {
  readonly control: Client;
  readonly sessions: Pick<Sessions, 'serverAt' | 'dialling'>;
  readonly slot: string;
  readonly publication: string;
  readonly holdings: Pick<Holdings, 'owns'>;
  readonly serverVersion: number;
  readonly decoder: DecoderOptions;
  /** Whether the stream would read the table: a publication may cover more. */
  asks(relation: RelationInfo): Promise<boolean>;
  readonly clock: Clock;
}

const ASK_EVERY_MS = 100;

/**
 * An address may lead to another server than the one that the position is of, where neither its WAL nor a slot of that
 * name says anything of the stream (trap 6). Whether reading goes on behind a promotion is decided when it does.
 * @throws StreamError
 */
async function atItsServer({ control, sessions }: PeekDeps, position: PgPosition): Promise<void> {
  const server = await sessions.serverAt(control);
  if (server.system_id !== position.system_id || server.timeline !== position.timeline)
    throw new StreamError('source_unreachable', 'The server at this address is not the one that the position is of.');
}

/**
 * The lag of a stream that nobody reads: connects, reads up to the first change of its tables after `position`, and goes
 * away again. Acknowledges what the slot was told already and nothing more.
 */
export async function peekLag(deps: PeekDeps, position: PgPosition, signal: AbortSignal): Promise<Lag> {
  await atItsServer(deps, position);
  const state = await slotState(deps.control, deps.slot);
  holds(state, deps.slot, position, deps.holdings.owns('slot', deps.slot));
  const head = await walFlushed(deps.control);
  const from = parseLsn(position.lsn);
  const backlogBytes = Number(head > from ? head - from : 0n);
  const done = (oldestPendingMs: number | null): Lag => ({
    oldestPendingMs,
    provedAtMs: deps.clock.now(),
    backlogBytes,
  });
  if (head <= from) return done(null);
  // Some servers would say that there is nothing.
  if ((await publicationState(deps.control, deps.publication)) === null) return { ...done(null), provedAtMs: null };

  const config = await deps.sessions.dialling();
  const instance = await instanceOf(deps.control);
  const decoder = new StreamDecoder(deps.decoder);
  const described = new Map<number, RelationInfo>();
  /** Whose first change has been met, by the form they have now. */
  const met = new Set<number>();
  let timer: NodeJS.Timeout | undefined;
  let connection: WalConnection | undefined;
  try {
    const first = await new Promise<number | null>((resolve, reject) => {
      const late = () => reject(new Error('the look at the lag took too long'));
      if (signal.aborted) return late();
      signal.addEventListener('abort', late, { once: true });
      /** Commit time of the first change that is the stream's; `null`: none so far. */
      let found = Promise.resolve<number | null>(null);
      const describe = (relation: RelationInfo): void => {
        described.set(relation.oid, relation);
        met.delete(relation.oid);
      };
      const meet = (oid: number): void => {
        const relation = described.get(oid);
        if (met.has(oid) || relation === undefined) return;
        met.add(oid);
        const { commitMs } = decoder;
        found = found.then(async (earlier) => earlier ?? ((await deps.asks(relation)) ? commitMs : null));
        found.then((at) => at !== null && resolve(at), reject);
      };
      connection = new WalConnection(config, {
        data: (message, high, low) => {
          // Of a change only its table is looked at, and of its transaction the time.
          switch (message[0]) {
            case 0x42: // B
              decoder.feed(message, high, low);
              break;
            case 0x52: // R
              decoder.feed(message, high, low);
              describe(decoder.pending!);
              break;
            case 0x49: // I
            case 0x55: // U
            case 0x44: // D
              meet(message.readUInt32BE(1));
              break;
            case 0x54: // T
              for (let i = 0; i < message.readUInt32BE(1); i++) meet(message.readUInt32BE(6 + i * 4));
          }
        },
        keepalive: (walEnd) => {
          if (walEnd >= head) found.then(resolve, reject);
        },
        failed: reject,
      });
      const acker = new Acker(connection.service, parseLsn(state?.confirmed_flush_lsn ?? '0/0'), () =>
        deps.clock.monotonic(),
      );
      timer = setInterval(() => acker.ask(), ASK_EVERY_MS);
      const { slot, publication } = deps;
      connection.open({ slot, publication, from, messages: false, server: position, instance }).catch(reject);
    });
    return done(first);
  } finally {
    clearInterval(timer);
    await connection?.close();
  }
}

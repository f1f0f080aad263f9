import { type Clock, type Lag, Waker } from '@planasonix/core';
import { EVENT, HEADER_BYTES } from './decode/event-types.js';
import { Packed } from './decode/packed.js';
import { payloadEvents } from './decode/payload.js';
import { tableNames } from './decode/table-form.js';
import { bytesBehind, holdsPlace } from './holds.js';
import type { LogDecoder } from './log-decoder.js';
import { isBefore, type MySqlPosition } from './position.js';
import type { LogRetention } from './retention.js';
import { lookingId } from './server-id.js';
import { logEnd, logFiles, type LogPlace, type Server } from './server.js';
import type { Session } from './session.js';
import type { Asks } from './tables.js';
import { Turns } from './turns.js';
import { LogFeed } from './wire/log-feed.js';

/** Of a stream that is being read: what was read against the end of the log, asked of the server. */
export class ReadingLag {
  private behindSince: number | null = null;
  private provedAtMs: number | null = null;

  constructor(
    private readonly decoder: LogDecoder,
    private readonly feed: LogFeed,
    private readonly clock: Clock,
    private readonly kept: LogRetention,
  ) {}

  /** @param durable file of the place from which the stream would go on if it were interrupted now */
  async of(session: Session, server: Server, durable: string, signal: AbortSignal): Promise<Lag> {
    const { decoder, feed, clock } = this;
    const asked = clock.now();
    const end = await logEnd(session, server);
    const behind = isBefore(decoder.read, end);
    const [pending] = decoder.encoder.events;
    if (!behind && feed.empty) this.behindSince = null;
    else this.behindSince ??= asked;
    const waits = pending?.timeMs ?? feed.oldestMs ?? (decoder.inside ? decoder.timeMs : null) ?? this.behindSince;
    if (waits === null) this.provedAtMs = asked;
    const files = durable === end.file ? [{ file: end.file, bytes: end.pos }] : await logFiles(session);
    const backlogBytes = Math.max(0, bytesBehind(files, decoder.read));
    const retention = await this.kept.of(session, durable, files, signal);
    const provedAtMs = waits === null ? asked : (this.provedAtMs ?? asked);
    return { oldestPendingMs: waits, provedAtMs, backlogBytes, ...retention };
  }
}

/** How much of the log, inflated, a look goes through at the most. */
const LOOK_BYTES = 64 * 1024 * 1024;

export interface LookDeps {
  /** For this look alone; it is ended by the caller. */
  readonly session: Session;
  readonly control: Session;
  readonly server: Server;
  readonly asks: Asks;
  readonly clock: Clock;
  readonly kept: LogRetention;
}

/**
 * Of a stream that nobody reads: the first change of its tables after its position. Loss is found here too.
 * @throws StreamError `log_purged`, `source_identity_changed`
 */
export async function lookAtLag(deps: LookDeps, position: MySqlPosition, signal: AbortSignal): Promise<Lag> {
  const { control, server, clock } = deps;
  const files = await holdsPlace(control, server, position);
  const provedAtMs = clock.now();
  const backlogBytes = Math.max(0, bytesBehind(files, position));
  const end = await logEnd(control, server);
  const retention = await deps.kept.of(control, position.file, files, signal);
  const oldestPendingMs = isBefore(position, end) ? await firstChange(deps, position, signal) : null;
  return { oldestPendingMs, provedAtMs, backlogBytes, ...retention };
}

async function firstChange(deps: LookDeps, { file, pos }: LogPlace, signal: AbortSignal): Promise<number | null> {
  const { session, clock, asks } = deps;
  const waker = new Waker();
  const turns = new Turns(clock);
  const feed = new LogFeed({ session, host: '', clock, waker });
  const stir = (): void => waker.stir();
  signal.addEventListener('abort', stir);
  try {
    await feed.open({ serverId: lookingId(), file, pos, follow: false });
    let looked = 0;
    let newest: number | null = null;
    while (!signal.aborted && looked < LOOK_BYTES) {
      const event = feed.next();
      if (event === null) {
        if (feed.finished) return null;
        await waker.wait();
        continue;
      }
      const seconds = event.readUInt32LE(0);
      if (seconds > 0) newest = seconds * 1000;
      const packed = event[4] === EVENT.TRANSACTION_PAYLOAD;
      for (const one of packed ? payloadEvents(event.subarray(HEADER_BYTES)) : [event]) {
        if (turns.due) await turns.give();
        if (signal.aborted || looked >= LOOK_BYTES) return newest;
        if (one === null) continue;
        looked += one.length;
        if (one[4] !== EVENT.TABLE_MAP) continue;
        const { schema, table } = tableNames(new Packed(one, HEADER_BYTES + 6));
        if (asks(schema, table)) return newest;
      }
    }
    return newest;
  } finally {
    signal.removeEventListener('abort', stir);
    feed.close();
  }
}

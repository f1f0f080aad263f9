import { type Clock, StreamError, Waker } from '@planasonix/core';
import { EVENT, HOUSEKEEPING } from './decode/event-types.js';
import { mariaGtid, mysqlGtid } from './decode/row-encoder.js';
import { gtidList, previousGtids, type GtidSet } from './gtid-set.js';
import { quoteLiteral } from './identifier.js';
import { LogCursor } from './log-cursor.js';
import { lookingId } from './server-id.js';
import type { LogPlace } from './server.js';
import { QUESTION_MS, type Sessions } from './sessions.js';
import { LogFeed } from './wire/log-feed.js';
import { FIRST_BYTE } from './wire/log-skip.js';

export interface WalkDeps {
  readonly sessions: Sessions;
  readonly clock: Clock;
  /** Ends it. Absent: it goes to its end, or to that of the sessions. */
  readonly signal?: AbortSignal;
}

/** The server says at once which one it is. */
const UNNAMED: LogPlace = { file: '', pos: FIRST_BYTE };

/** What the log says of its order, without a look at any row. */
export type Step = {
  readonly file: string;
  /** Where the event begins and ends, in bytes. */
  readonly begin: number;
  readonly end: number;
} &
  /** @property at seconds since the Unix epoch */
  (
    | { readonly kind: 'head'; readonly set: GtidSet | null; readonly at: number }
    /** `null`: it has none. @property at seconds since the Unix epoch */
    | { readonly kind: 'transaction'; readonly gtid: string | null; readonly at: number }
    /** Rows follow. @property at when their statement began, seconds since the Unix epoch */
    | { readonly kind: 'rows'; readonly at: number }
    /** Of a file, in no transaction. */
    | { readonly kind: 'housekeeping' }
    | { readonly kind: 'other' }
  );

/** Behind these transactions of MariaDB, as a replica would name its place; the server itself looks where that is. */
export interface Behind {
  readonly after: string;
}

/**
 * Steps through the log from a place to where it ends now.
 * @throws what the server says, `event_unsupported`; `source_unreachable` where it was ended before
 */
export async function* walkLog(deps: WalkDeps, from: LogPlace | Behind): AsyncGenerator<Step> {
  const { sessions, clock, signal } = deps;
  const session = await sessions.open('place', QUESTION_MS);
  const waker = new Waker();
  const feed = new LogFeed({ session, host: '', clock, waker });
  const stir = (): void => waker.stir();
  signal?.addEventListener('abort', stir);
  try {
    if ('after' in from) await session.query(`SET @slave_connect_state = ${quoteLiteral(from.after)}`);
    const place = 'after' in from ? UNNAMED : from;
    await feed.open({ serverId: lookingId(), ...place, follow: false });
    const cursor = new LogCursor(place, feed.checksums);
    for (;;) {
      if (signal?.aborted === true) throw new StreamError('source_unreachable', 'The look at the log was ended.');
      const event = feed.next();
      if (event === null) {
        if (feed.finished) return;
        await waker.wait();
        continue;
      }
      cursor.read(event);
      if (cursor.type === EVENT.ROTATE) {
        const next = cursor.rotation();
        if (next !== null) cursor.enter(next);
      } else if (!cursor.made && cursor.type !== EVENT.FORMAT) {
        const { file, begin, pos } = cursor;
        yield { file, begin, end: pos, ...told(cursor) };
      }
    }
  } finally {
    signal?.removeEventListener('abort', stir);
    feed.close();
    sessions.end(session);
  }
}

/** The set that a file begins with; `null`: it does not say, or has tags (MySQL 8.3). @throws like `walkLog` */
export async function headOf(deps: WalkDeps, file: string): Promise<GtidSet | null> {
  for await (const step of walkLog(deps, { file, pos: FIRST_BYTE })) {
    if (step.kind === 'head') return step.set;
    if (step.kind === 'transaction' || step.file !== file) return null;
  }
  return null;
}

type Told = Step extends infer S ? (S extends Step ? Omit<S, 'file' | 'begin' | 'end'> : never) : never;

function told({ type, whole, body }: LogCursor): Told {
  const at = whole.readUInt32LE(0);
  switch (type) {
    case EVENT.PREVIOUS_GTIDS:
      return { kind: 'head', set: previousGtids(body), at };
    case EVENT.MARIADB_GTID_LIST:
      return { kind: 'head', set: gtidList(body), at };
    case EVENT.GTID:
    case EVENT.ANONYMOUS_GTID:
    case EVENT.GTID_TAGGED:
      return { kind: 'transaction', gtid: mysqlGtid(body, type).gtid, at };
    case EVENT.MARIADB_GTID:
      return { kind: 'transaction', gtid: mariaGtid(body, whole.readUInt32LE(5)).gtid, at };
    case EVENT.TABLE_MAP:
      return { kind: 'rows', at };
    default:
      return { kind: HOUSEKEEPING.has(type) ? 'housekeeping' : 'other' };
  }
}

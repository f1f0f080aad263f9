import { StreamError } from '@planasonix/core';
import type { GtidsAtDeps } from './gtids-at.js';
import { holdsPlace } from './holds.js';
import { encodePosition, type MySqlPosition } from './position.js';
import { QUESTION_MS, type Sessions } from './sessions.js';
import { logsAll, positionAt, sameServer } from './successor.js';

const MOST_REMEMBERED = 10_000;

interface Found {
  /** The position that was looked from. */
  readonly before: string;
  readonly at: MySqlPosition;
}
interface Search {
  readonly before: string;
  readonly server: string;
  readonly at: Promise<MySqlPosition>;
}

/** Of streams that rest: what was found for the position of the last look. */
const found = new Map<string, Found>();
/** What is being looked for: it may take longer than a look. */
const searches = new WeakMap<Sessions, Search>();

export interface LookDeps extends GtidsAtDeps {
  readonly streamId: string;
  readonly signal: AbortSignal;
}

/**
 * `positionAt` for a look that is taken again and again: the log of another server is not gone through each time. A look
 * that is given up leaves the search to the next one; it ends with the sessions, or where the server falls silent.
 * @throws like `positionAt`; `source_unreachable` once the signal is aborted
 */
export async function positionForLook(deps: LookDeps, before: MySqlPosition): Promise<MySqlPosition> {
  const { session, server, streamId, signal } = deps;
  if (sameServer(server, before)) return positionAt(deps, before, null);
  const known = found.get(streamId);
  if (known?.before !== encodePosition(before) || known.at.server !== server.identity)
    return heeding(search(deps, before), signal);
  await holdsPlace(session, server, known.at);
  await logsAll(session, server);
  return known.at;
}

function search(deps: LookDeps, position: MySqlPosition): Promise<MySqlPosition> {
  const { sessions, server, streamId } = deps;
  const before = encodePosition(position);
  const running = searches.get(sessions);
  if (running?.before === before && running.server === server.identity) return running.at;
  const at = searched(deps, position);
  const begun: Search = { before, server: server.identity, at };
  searches.set(sessions, begun);
  const over = (): void => {
    if (searches.get(sessions) === begun) searches.delete(sessions);
  };
  at.then((place) => {
    over();
    found.delete(streamId);
    found.set(streamId, { before, at: place });
    // Invariant 6.
    if (found.size > MOST_REMEMBERED) found.delete(found.keys().next().value!);
  }, over);
  return at;
}

/** In a session of its own: that of the look may be gone before. */
async function searched(deps: LookDeps, position: MySqlPosition): Promise<MySqlPosition> {
  const { sessions, server, clock } = deps;
  const session = await sessions.open('place', QUESTION_MS);
  try {
    return await positionAt({ sessions, session, server, clock }, position, null);
  } finally {
    sessions.end(session);
  }
}

/** Waits for work, and no longer than the signal. */
function heeding<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new StreamError('source_unreachable', 'The look at the log was ended.'));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

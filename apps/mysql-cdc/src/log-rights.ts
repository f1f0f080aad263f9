import { type Check, systemClock, Waker } from '@planasonix/core';
import { failed } from './finding.js';
import { lookingId } from './server-id.js';
import { logEnd, userOf, type Server } from './server.js';
import type { Session } from './session.js';
import { toStreamError } from './stream-error.js';
import { LogFeed } from './wire/log-feed.js';

const LOOK_MS = 5_000;

export interface LogRightsInput {
  readonly control: Session;
  readonly server: Server;
  readonly look: () => Promise<Session>;
  readonly end: (session: Session) => void;
}

export const denied = (what: string, grant: string): Check =>
  failed('permission_denied', `The user may not ${what}.`, grant);

export async function tried(attempt: () => Promise<unknown>, finding: Check): Promise<readonly Check[]> {
  try {
    await attempt();
    return [];
  } catch (error) {
    const { code, message, hint } = toStreamError(error, 'checking the source');
    return [code === 'permission_denied' || code === 'auth_failed' ? finding : failed(code, message, hint)];
  }
}

/** What keeps the user from reading the log, found by reading it. Nothing where it may. */
export async function logRights(input: LogRightsInput): Promise<readonly Check[]> {
  const { control, server } = input;
  const { to } = await userOf(control);
  const monitor = server.flavor === 'mariadb' ? 'BINLOG MONITOR' : 'REPLICATION CLIENT';
  const mayNotAsk = denied('ask where the log ends', `GRANT ${monitor} ON *.* TO ${to};`);
  const mayNotRead = denied('read the log', `GRANT REPLICATION SLAVE ON *.* TO ${to};`);
  const asked = await tried(() => logEnd(control, server), mayNotAsk);
  return asked.length > 0 ? asked : tried(() => readsLog(input), mayNotRead);
}

/** Asks for the end of the log, and waits for the first answer. */
async function readsLog({ control, server, look, end }: LogRightsInput): Promise<void> {
  const { file, pos } = await logEnd(control, server);
  const session = await look();
  const waker = new Waker();
  const feed = new LogFeed({ session, host: '', clock: systemClock, waker });
  const late = setTimeout(() => feed.close(), LOOK_MS);
  try {
    await feed.open({ serverId: lookingId(), file, pos, follow: false });
    while (feed.next() === null && !feed.finished) await waker.wait();
  } finally {
    clearTimeout(late);
    feed.close();
    end(session);
  }
}

import type { Clock } from '@planasonix/core';
import { variable } from './server.js';
import type { Session } from './session.js';

const LOOK_MS = 20;

/** Whether a place of MySQL's log can be known to be settled: every transaction has a GTID. */
export const settles = async (session: Session): Promise<boolean> => (await variable(session, 'gtid_mode')) === 'ON';

/**
 * Waits until every transaction that is in MySQL's log now is visible. One owns its GTID from before it is in the log until
 * it is visible, however long a replica is waited for in between (trap 13): those that are owned now are waited out.
 * @returns `false` where some still own theirs after `patienceMs`
 */
export async function settle(session: Session, clock: Clock, patienceMs: number): Promise<boolean> {
  const until = clock.monotonic() + patienceMs;
  for (let open = await owned(session); open.size > 0;) {
    if (clock.monotonic() > until) return false;
    await clock.sleep(LOOK_MS);
    const now = await owned(session);
    open = new Set([...open].filter((gtid) => now.has(gtid)));
  }
  return true;
}

/** `uuid:23#7:24#9,uuid:5#8`, numbers with the threads that own them → each of them. */
async function owned(session: Session): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  for (const group of ((await session.value('SELECT @@GLOBAL.gtid_owned')) ?? '').split(',')) {
    let source = '';
    for (const part of group.trim().split(':'))
      if (part.includes('#')) found.add(source + part);
      else source += `${part}:`;
  }
  return found;
}

import { gtidOf, GtidSet } from './gtid-set.js';
import { quoteLiteral } from './identifier.js';
import { walkLog, type WalkDeps } from './log-walk.js';
import type { MySqlPosition } from './position.js';
import type { LogPlace, Server } from './server.js';
import type { Session } from './session.js';
import { settle, settles } from './settled.js';
import { lastBefore } from './witness.js';

/** Commits that wait for longer are left out: another server is refused then, and nothing is passed over. */
const SETTLE_MS = 5_000;

export interface GtidsAtDeps extends WalkDeps {
  readonly session: Session;
  readonly server: Server;
}

/** What a position says of the transactions before it. */
export type Before = Pick<MySqlPosition, 'gtids' | 'gtid' | 'at' | 'last'>;
export const UNKNOWN: Before = { gtids: null, gtid: null, at: null };

/** What was committed before a place near the end of the log. `null`: not known, or no GTIDs. */
export async function gtidsAt(deps: GtidsAtDeps, place: LogPlace): Promise<Before> {
  if (deps.server.flavor === 'mysql') return { ...UNKNOWN, gtids: await mysqlGtidsAt(deps, place) };
  const set = await mariaGtidsAt(deps.session, place);
  return set === null ? UNKNOWN : { gtids: set.toString(), ...(await lastBefore(deps, place, set)) };
}

/** Writers of MariaDB who wrote between the last one of their domain and now are left out. */
async function mariaGtidsAt(session: Session, { file, pos }: LogPlace): Promise<GtidSet | null> {
  const known = await session.value(`SELECT BINLOG_GTID_POS(${quoteLiteral(file)}, ${pos})`);
  const at = GtidSet.parse('mariadb', known ?? '');
  if (at === null || at.empty) return null;
  const now = GtidSet.parse('mariadb', (await session.value('SELECT @@GLOBAL.gtid_binlog_state')) ?? '');
  if (now !== null) at.addEarlier(now);
  return at;
}

/** MySQL does not say it: what has become visible of what is in its log since is taken off what is visible now. */
async function mysqlGtidsAt(deps: GtidsAtDeps, place: LogPlace): Promise<string | null> {
  const { session, clock } = deps;
  if (!(await settles(session))) return null;
  await settle(session, clock, SETTLE_MS);
  const executed = GtidSet.parse('mysql', (await session.value('SELECT @@GLOBAL.gtid_executed')) ?? '');
  if (executed === null) return null;
  const since = new GtidSet('mysql');
  for await (const step of walkLog(deps, place)) {
    if (step.kind !== 'transaction') continue;
    if (step.gtid === null) return null;
    since.add(gtidOf('mysql', step.gtid));
  }
  const at = executed.without(since);
  return at.empty ? null : at.toString();
}

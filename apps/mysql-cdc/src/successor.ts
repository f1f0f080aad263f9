import { StreamError } from '@planasonix/core';
import { gtidOf, GtidSet } from './gtid-set.js';
import type { GtidsAtDeps } from './gtids-at.js';
import { holdsPlace } from './holds.js';
import { headOf, walkLog } from './log-walk.js';
import type { Part } from './part.js';
import type { MySqlPosition } from './position.js';
import { logged, mayAsk, MEANWHILE, refuseUnlogged, upstreams, upstreamsGrant } from './replicated.js';
import { logFiles, variable, type LogFile, type LogPlace, type Server } from './server.js';
import type { Session } from './session.js';
import { FIRST_BYTE } from './wire/log-skip.js';
import { Witness } from './witness.js';

const AFRESH = 'Correct the connection, or start with {"onLostPosition":"resnapshot"} or "skip".';
/** The transaction that was read last. */
type Last = Pick<MySqlPosition, 'gtid' | 'at'>;
/** A place, and where the transaction before it begins. */
type Found = LogPlace & Pick<MySqlPosition, 'last'>;
/** So much of a set is shown. */
const SHOWN = 300;
const shown = (set: GtidSet): string => {
  const text = set.toString();
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
};
const other = (message: string, hint = AFRESH): StreamError =>
  new StreamError('source_identity_changed', message, { hint });

/**
 * The position at the server that answers now. On the one that was read before it is what it was. On another one it is
 * found by GTIDs, where that has all that was read and nothing else before it; what comes from there is in order after all
 * that came before, and its ids are what they were (Invariant 4).
 * @param part of the transaction behind it, which the log holds already: another server has to have that one, too
 * @throws StreamError `log_purged`, `source_identity_changed`; `offset_gap` where its log lacks what it has from others;
 *   `source_unreachable` while a replica has yet to apply it
 */
export async function positionAt(deps: GtidsAtDeps, before: MySqlPosition, part: Part | null): Promise<MySqlPosition> {
  const { server, session } = deps;
  if (sameServer(server, before)) {
    await refuseUnlogged(session, server, 'offset_gap', MEANWHILE);
    const files = await holdsPlace(session, server, before);
    if (part?.place) holdsPart(files, part.place);
    return before;
  }
  const read = before.gtids === null ? null : GtidSet.parse(server.flavor, before.gtids);
  if (read === null || read.empty)
    throw other('Another server answers at this address, and what was read has no GTIDs to find it by there.');
  const place = await placeOf(deps, read, before);
  if (part !== null) await hasPart(deps, read, part);
  return {
    ...{ ...before, ...place, server: server.identity, proof: null, head: null },
    ...{ attempt: before.attempt + 1, origin: before.origin ?? before.attempt },
  };
}

/** A server whose host went down may have lost the end of its log; what it writes next goes to another file. */
function holdsPart(files: readonly LogFile[], { file, pos }: LogPlace): void {
  const bytes = files.find((one) => one.file === file)?.bytes ?? 0;
  if (bytes <= pos)
    throw other(`${file} ends before ${pos}, where a transaction began of which the log holds a part: it was cut off by a crash.`); // prettier-ignore
}

/** Invariant 2, and no half of what never happened here stays in the log as if it were whole. */
async function hasPart(deps: GtidsAtDeps, read: GtidSet, { gtid }: Part): Promise<void> {
  const { session, server } = deps;
  const whole = gtid === null ? null : GtidSet.parse(server.flavor, gtid);
  if (whole === null)
    throw other(
      'Another server answers at this address, and the log holds a part of a transaction that is not known by a GTID to find it by there.',
      `If it has that one as well, set the position to {"gtids":"${read.newest().toString()}"} (PUT …/position). Else start with {"onLostPosition":"resnapshot"} or "skip".`,
    );
  const lacks = whole.without(await committedAt(session, server));
  if (!lacks.empty) throw await lacking(deps, read, lacks);
}

/** Whether it is the server that was read before, as far as can be told without reading. */
export const sameServer = (server: Server, before: MySqlPosition): boolean =>
  server.identity === before.server || provesItself(server, before);

/** Names of MariaDB's servers change; no replica has the number of its primary, so this is the same log or a foreign one. */
function provesItself({ flavor, serverId }: Server, { proof, head, gtids }: MySqlPosition): boolean {
  if (flavor === 'mysql') return false;
  return (gtids === null || head?.split('-')[1] === String(serverId)) && (proof !== null || head !== null);
}

/**
 * Where the log of a server has had all of a set, and nothing else.
 * @param last of the position that the set was read up to; `null`: a set that somebody wrote
 */
export async function placeOf(deps: GtidsAtDeps, read: GtidSet, last: Last | null): Promise<Found> {
  const { session, server } = deps;
  if (server.flavor === 'mysql' && (await variable(session, 'gtid_mode')) !== 'ON')
    throw other('Another server answers at this address, and its transactions have no GTIDs.', 'SET GLOBAL gtid_mode = ON there, or correct the connection.'); // prettier-ignore
  await logsAll(session, server);
  const needed = read.newest();
  const lacks = needed.without(await committedAt(session, server));
  if (!lacks.empty) throw await lacking(deps, read, lacks);
  const seen = await unloggedAt(session, server);
  const unread = seen.without(read);
  if (!unread.empty) throw thrownAway(unread);
  const begin = await fileBefore(deps, read, last);
  let place: LogPlace = { file: begin, pos: FIRST_BYTE };
  let newest: LogPlace | undefined;
  let stranger: string | null = null;
  const witness = new Witness(last?.gtid ?? null);
  for await (const step of walkLog(deps, place)) {
    if (step.kind === 'head' && step.file === begin && step.set !== null) seen.addAll(step.set);
    if (step.kind === 'transaction') {
      if (step.gtid === null) throw other('The log of the server has transactions without GTIDs where reading would go on.'); // prettier-ignore
      const gtid = gtidOf(server.flavor, step.gtid);
      if (!read.has(gtid)) {
        stranger = step.gtid;
        place = { file: step.file, pos: step.begin };
        break;
      }
      seen.add(gtid);
      newest = { file: step.file, pos: step.begin };
    }
    witness.take(step);
    place = { file: step.file, pos: step.end };
  }
  // GTIDs of MySQL name the server that they began at.
  const proof = server.flavor === 'mysql' || last === null ? 'given' : proofBy(last, witness);
  if (proof === 'against')
    throw other(`${last?.gtid} is another transaction on this server: it belongs to another history.`);
  const behind = needed.without(seen);
  if (behind.empty && proof === 'none') throw unproved(needed, last);
  if (behind.empty) return { ...place, last: newest };
  const first = stranger === null ? 'does not have' : `has ${stranger}, which was not read, before`;
  throw other(
    `The log of the server ${first} ${shown(behind)}, which was read: errant transactions, or it does not log what it replicates.`, // prettier-ignore
    'Go on at a server whose log has the transactions in the order of the one before (log_replica_updates, preserved commit order), or start with {"onLostPosition":"resnapshot"} or "skip".',
  );
}

const proofBy = (last: Last, { at }: Witness): 'given' | 'against' | 'none' =>
  last.at === null || at === null ? 'none' : last.at === at ? 'given' : 'against';

/** Invariant 2: what may be another history is not read on as ours. */
function unproved(needed: GtidSet, last: Last | null): StreamError {
  const why =
    last?.at == null
      ? 'nothing is known of the last transaction before the position'
      : `it no longer has ${last.gtid}, which was read last`;
  return other(
    `Another server answers at this address, and its history may be another one with the same GTIDs: ${why}.`,
    `If it is a replica of the one before, or was one, set the position to {"gtids":"${needed.toString()}"} (PUT …/position). Else correct the connection, or start with {"onLostPosition":"resnapshot"} or "skip".`,
  );
}

/** The newest file that begins with nothing but what was read. @throws StreamError `log_purged` */
async function fileBefore(deps: GtidsAtDeps, read: GtidSet, last: Last | null): Promise<string> {
  const { flavor } = deps.server;
  const files = [...(await logFiles(deps.session))].reverse();
  const newest = last?.gtid == null || last.at === null ? null : gtidOf(flavor, last.gtid);
  let found: string | null = null;
  let oldest: GtidSet | null = null;
  for (const { file } of files) {
    const head = await headOf(deps, file);
    if (head === null) throw other(`${file} does not say which transactions are before it.`);
    oldest = head;
    if (!head.without(read).empty) continue;
    found = file;
    // The transaction that was read last is looked at, where it can be.
    if (flavor === 'mysql' || newest === null || !head.has(newest)) break;
  }
  if (found !== null) return found;
  throw thrownAway((oldest ?? read).without(read));
}

const thrownAway = (unread: GtidSet): StreamError =>
  new StreamError('log_purged', `The server has thrown away transactions that were not read: ${shown(unread)}.`);

/** @throws StreamError `source_identity_changed` at another server, whose log lacks what it has from others; `permission_denied` */
export async function logsAll(session: Session, server: Server): Promise<void> {
  const found = await logged(session, server);
  if (found === 'unknown')
    throw new StreamError(
      'permission_denied',
      'The server does not log what it replicates (log_replica_updates, log_slave_updates), and the user may not ask whether it does.',
      {
        hint: `${await upstreamsGrant(session, server)} Or restart it with log_slave_updates = ON (log_replica_updates).`,
      },
    );
  if (found !== 'all') throw other(found.message, found.fix + MEANWHILE);
}

/**
 * What MySQL has and no file of its log: it was thrown away, or came with a copy of another server. It was there before
 * all that is in the files.
 */
async function unloggedAt(session: Session, { flavor }: Server): Promise<GtidSet> {
  if (flavor === 'mariadb') return new GtidSet(flavor);
  const purged = GtidSet.parse(flavor, (await session.value('SELECT @@GLOBAL.gtid_purged')) ?? '');
  if (purged === null) throw other('The server has transactions whose GTIDs have tags, which are not followed.');
  return purged;
}

/** Everything that the server has ever logged, or has from those who did. */
export async function committedAt(session: Session, { flavor }: Server): Promise<GtidSet> {
  const name = flavor === 'mysql' ? 'gtid_executed' : 'gtid_binlog_state';
  const text = (await session.value(`SELECT @@GLOBAL.${name}`)) ?? '';
  return GtidSet.parse(flavor, text) ?? untagged(flavor, text);
}

/** Of `uuid:1-5:tag:1-3` what has no tag: `uuid:1-5`. */
function untagged(flavor: Server['flavor'], text: string): GtidSet {
  const entries = text.split(',').map((entry) => entry.trim().replace(/:[a-z_].*$/is, ''));
  return GtidSet.parse(flavor, entries.filter((entry) => entry.includes(':')).join(',')) ?? new GtidSet(flavor);
}

/** Why a server does not have what was read. */
async function lacking({ session, server }: GtidsAtDeps, read: GtidSet, lacks: GtidSet): Promise<StreamError> {
  const from = await upstreams(session, server);
  // What is on its way comes by itself; what never comes is known once that can be asked.
  if (!mayAsk(from))
    return new StreamError(
      'source_unreachable',
      `The server lacks ${shown(lacks)}, and the user may not ask whether that is on its way.`,
      {
        hint: `${await upstreamsGrant(session, server)} It is tried again; with that right it is known whether the server is a replica that lags, or will never have it.`,
      },
    );
  for (const row of from instanceof StreamError ? [] : from) {
    const text = row['Retrieved_Gtid_Set'] ?? row['Gtid_IO_Pos'] ?? '';
    const received = GtidSet.parse(server.flavor, text);
    const runs = (thread: string): boolean =>
      (row[`Replica_${thread}_Running`] ?? row[`Slave_${thread}_Running`]) === 'Yes';
    if (!runs('SQL')) continue;
    if (received !== null && lacks.without(received).empty)
      return new StreamError('source_unreachable', `The server has yet to apply ${shown(lacks)}.`, {
        hint: 'It is a replica that has received what was read and goes on to apply it. Nothing is to be done.',
      });
    // Some milliseconds of replication lie between any two servers.
    if (runs('IO'))
      return new StreamError(
        'source_unreachable',
        `The server, a replica that runs, has yet to receive ${shown(lacks)}.`,
        {
          hint: 'Where those never come, its primary does not have them: correct the connection, or set a position.',
        },
      );
  }
  return read.newest().without(lacks).empty
    ? other('Another server answers at this address, or its log was reset: it has none of the transactions that were read last.') // prettier-ignore
    : other(`The server lacks ${shown(lacks)}, which the one before it had: those never reached it.`);
}

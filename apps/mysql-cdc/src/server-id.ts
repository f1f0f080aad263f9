import { randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { StreamError } from '@planasonix/core';
import { userOf, type Server } from './server.js';
import { answerTo, type Row, type Session } from './session.js';

/** Readers have numbers of the first half of their range, looks at the log those of the second. */
const FIRST = 0x60000000;
const HALF = 0x08000000;

/** The replicas that the server knows of; `null`: this user may not ask. */
export async function replicas(session: Session, { flavor, number }: Server): Promise<readonly Row[] | null> {
  const renamed = flavor === 'mysql' && number >= 80_022;
  const rows = await answerTo(session, renamed ? 'SHOW REPLICAS' : 'SHOW SLAVE HOSTS');
  return rows instanceof StreamError ? null : rows;
}

/** What lets the user ask for `replicas`. */
export async function replicasGrant(session: Session, { flavor, number }: Server): Promise<string> {
  const right = flavor === 'mariadb' && number >= 100_502 ? 'REPLICATION MASTER ADMIN' : 'REPLICATION SLAVE';
  return `GRANT ${right} ON *.* TO ${(await userOf(session)).to};`;
}

/** Host under which the reader of a stream shows among the replicas. */
export const replicaHost = (streamId: string): string => `planasonix-${streamId}`.slice(0, 60);

/**
 * Who else has this number: a host, or the server itself; `null`: nobody, as far as the server says to this user.
 * @param rows of `replicas`
 */
export function holderOf(server: Server, rows: readonly Row[] | null, id: number, host: string): string | null {
  if (id === server.serverId) return 'the server itself';
  const taken = rows?.find((row) => Number(row['Server_Id'] ?? row['Server_id']) === id);
  const holder = taken?.['Host'] ?? null;
  return taken === undefined || holder === host ? null : holder || 'another replica';
}

/** Two readers of one number end each other for ever: the stream's own, or the next one that nobody has, of those that this user may list. */
export async function allocateServerId(session: Session, server: Server, streamId: string): Promise<number> {
  const host = replicaHost(streamId);
  const rows = (await replicas(session, server)) ?? [];
  const taken = new Set(
    rows.filter((row) => row['Host'] !== host).map((row) => Number(row['Server_Id'] ?? row['Server_id'])),
  );
  taken.add(server.serverId);
  const own = crc32(streamId) % HALF;
  for (let step = 0; ; step++) {
    const id = FIRST + ((own + step) % HALF);
    if (!taken.has(id)) return id;
  }
}

/** For one look at the log, beside the reader and other looks: a server ends a reader where another one of its number comes. */
export const lookingId = (): number => FIRST + HALF + randomInt(HALF);

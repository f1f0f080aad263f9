import { setTimeout as sleep } from 'node:timers/promises';
import type { ReleaseReport } from '@planasonix/core';
import type { Client } from 'pg';
import { quoteIdent } from './identifier.js';
import { toStreamError } from './stream-error.js';

export interface ReleaseInput {
  readonly client: Client;
  /** What the stream made and nothing else. */
  readonly slots: readonly string[];
  readonly publications: readonly string[];
  /** Of the stream's own reader: that one is ended, anybody else's is not. */
  readonly applicationName: string;
  /** Changes nothing here: somebody else's reader is not ended for it. */
  readonly force?: boolean;
}

type Remaining = ReleaseReport['remaining'][number];

const QUIET_MS = 5000;
const LOOK_EVERY_MS = 50;
/** Longer ones are cut off by the server. */
const NAME_BYTES = 63;

const READER = `
  SELECT s.active_pid AS pid, a.application_name AS name FROM pg_catalog.pg_replication_slots s
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1`;

/**
 * Gives back slots and publications, in this order: a slot whose publication is gone can't be read any more by anyone.
 * Each is looked for again afterwards. Never throws: what could not be given back is in `remaining` (trap 33).
 */
export async function releaseAtSource(input: ReleaseInput, signal: AbortSignal): Promise<ReleaseReport> {
  const released: string[] = [];
  const remaining: Remaining[] = [];
  const step = async (what: string, release: () => Promise<Remaining | null>): Promise<void> => {
    const held = await release().catch((error: unknown): Remaining => {
      const { code, message } = toStreamError(error, `giving back ${what}`);
      return { what, why: message, code: code === 'slot_active' ? 'active_consumers' : code };
    });
    if (held === null) released.push(what);
    else remaining.push(held);
  };
  for (const slot of input.slots) await step(`slot ${slot}`, () => releaseSlot(input, slot, signal));
  const [held] = remaining;
  for (const publication of input.publications) {
    const what = `publication ${publication}`;
    if (held !== undefined) remaining.push({ what, why: `The ${held.what} still needs it.`, code: held.code });
    else await step(what, () => releasePublication(input.client, publication));
  }
  return { released, remaining };
}

async function releaseSlot(
  { client, applicationName }: ReleaseInput,
  slot: string,
  signal: AbortSignal,
): Promise<Remaining | null> {
  const what = `slot ${slot}`;
  const reader = async () => (await client.query<{ pid: string | null; name: string | null }>(READER, [slot])).rows[0];
  const own = applicationName.slice(0, NAME_BYTES);
  const deadline = performance.now() + QUIET_MS;
  const ended = new Set<string>();
  for (;;) {
    signal.throwIfAborted();
    const found = await reader();
    if (found === undefined) return null;
    if (found.pid === null) {
      // An active slot can't be dropped (55006): if somebody was quicker, the next look says who.
      const dropped = await drop(client, slot);
      if (dropped) continue;
    } else if (found.name !== own && found.name?.startsWith(`${own} `) !== true)
      return {
        what,
        why: `Pid ${found.pid} (${found.name || 'of another user'}) reads it. To end it: SELECT pg_terminate_backend(${found.pid});`,
        code: 'active_consumers',
      };
    else if (!ended.has(found.pid)) {
      await client.query('SELECT pg_catalog.pg_terminate_backend($1::int)', [found.pid]);
      ended.add(found.pid);
    }
    if (performance.now() > deadline)
      return { what, why: `Pid ${found.pid} did not let go of it within 5 s.`, code: 'active_consumers' };
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** `false` where it became active in between. */
async function drop(client: Client, slot: string): Promise<boolean> {
  try {
    await client.query(
      'SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE slot_name = $1',
      [slot],
    );
    return true;
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    if (code === '42704') return true;
    if (code === '55006') return false;
    throw error;
  }
}

async function releasePublication(client: Client, publication: string): Promise<Remaining | null> {
  await client.query(`DROP PUBLICATION IF EXISTS ${quoteIdent(publication)}`);
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_publication WHERE pubname = $1', [publication]);
  return rowCount === 0
    ? null
    : { what: `publication ${publication}`, why: 'It is still there.', code: 'active_consumers' };
}

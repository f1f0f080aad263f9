import { StreamError } from '@planasonix/core';
import type { Client } from 'pg';

/**
 * SQL, in either protocol and for any user: since when the server process runs that answers. No two members of a cluster have
 * the same, nor have two starts of one; a promotion does not change it, as it changes nothing of what a session reads.
 */
export const INSTANCE = 'extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text';

/** Of a session it stays the same. */
const instances = new WeakMap<Client, string>();

/** `instance` is what the server answered to `INSTANCE`. */
export function noteInstance(client: Client, instance: string): void {
  instances.set(client, instance);
}

/** Which server process answers; asked once for each session. */
export async function instanceOf(client: Client): Promise<string> {
  const noted = instances.get(client);
  if (noted !== undefined) return noted;
  const { rows } = await client.query<{ instance: string }>(`SELECT ${INSTANCE} AS instance`);
  noteInstance(client, rows[0]!.instance);
  return rows[0]!.instance;
}

/** @throws AnotherServer where the sessions are not of one server process */
export async function sameInstance(one: Client, other: Client): Promise<void> {
  if ((await instanceOf(one)) !== (await instanceOf(other))) throw new AnotherServer();
}

const HINT =
  'A stream begins again by itself, and sees whether it may go on there. Where the address leads to several servers in turn, give that of one.';

/** `source_unreachable`: the address leads elsewhere by now. */
export class AnotherServer extends StreamError {
  constructor() {
    super(
      'source_unreachable',
      'Another server answers at this address than a moment ago, or that one was started anew.',
      { hint: HINT },
    );
  }
}

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

const HINT =
  'The stream begins again by itself, and sees whether it may go on there. Where the address leads to several servers in turn, give that of one.';

/** `source_unreachable`: the address leads elsewhere by now. */
export class AnotherServer extends StreamError {
  constructor() {
    super(
      'source_unreachable',
      'Another server answers at this address than the one that the stream reads, or that one was started anew.',
      { hint: HINT },
    );
  }
}

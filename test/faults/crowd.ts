/** All connections of a server taken by somebody else. */
import type { Client } from 'pg';
import type { startPostgres } from '@planasonix/testing';
import type { Random } from './random.js';
import type { Scene } from './scene.js';

type Server = Awaited<ReturnType<typeof startPostgres>>;

const FEW = '16';
const USUAL = '300';

export async function crowd(scene: Scene, server: Server, database: string, rng: Random): Promise<void> {
  await server.restart('immediate', { max_connections: FEW });
  const taken: Client[] = [];
  const until = Date.now() + rng.between(3000, 6000);
  while (Date.now() < until) {
    await server.connect(database).then(
      (client) => taken.push(client),
      () => scene.load.goOn(20),
    );
    // Who was there first gives way: all that come next find it full.
    await taken[0]
      ?.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'planasonix%'")
      .catch(() => undefined);
  }
  await Promise.allSettled(taken.map((client) => client.end()));
  await server.restart('immediate', { max_connections: USUAL });
}

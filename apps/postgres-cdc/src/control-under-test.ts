/** A server with tables of every kind that a preflight has something to say of, and sessions as the product opens them. */
import type { ConnectionSettings, Outbound } from '@planasonix/core';
import { startPostgres, type Postgres, type PostgresVersion } from '@planasonix/testing';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Client } from 'pg';
import { openSession } from './session.js';

export const outbound: Outbound = { resolve: (host) => Promise.resolve(host === 'db.test' ? '127.0.0.1' : host) };
const SETUP = `
  CREATE SCHEMA shop; CREATE SCHEMA "Odd Name";
  CREATE TABLE shop.orders (id bigint, region text, gone int, total numeric, secret text, PRIMARY KEY (region, id));
  ALTER TABLE shop.orders DROP COLUMN gone;
  CREATE TABLE shop.audit (at timestamptz);
  CREATE TABLE shop.full (v text); ALTER TABLE shop.full REPLICA IDENTITY FULL;
  CREATE TABLE shop.indexed (id int PRIMARY KEY, code text NOT NULL); CREATE UNIQUE INDEX by_code ON shop.indexed (code);
  ALTER TABLE shop.indexed REPLICA IDENTITY USING INDEX by_code;
  CREATE TABLE shop.late (id int PRIMARY KEY DEFERRABLE);
  CREATE TABLE "Odd Name"."T""x" (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
  CREATE TABLE shop.log (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
  CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
  CREATE TABLE shop.loose (id int) PARTITION BY RANGE (id);
  CREATE TABLE shop.loose_1 PARTITION OF shop.loose FOR VALUES FROM (0) TO (10);
  CREATE UNLOGGED TABLE shop.unlogged (id int PRIMARY KEY);
  CREATE VIEW shop.looks AS SELECT 1 AS one;
  CREATE ROLE plain LOGIN PASSWORD 'plain'`;

export class ControlUnderTest {
  readonly #sessions: Client[] = [];

  private constructor(readonly server: Postgres) {}

  static async start(version: PostgresVersion): Promise<ControlUnderTest> {
    const server = await startPostgres({ version });
    const admin = await server.connect();
    await admin.query(SETUP);
    return new ControlUnderTest(server);
  }

  connection(more: object = {}): ConnectionSettings {
    const { port } = this.server;
    const login = { database: 'postgres', user: 'postgres', password: 'postgres' };
    return { id: 'conn_1', type: 'postgres', config: { host: 'db.test', port, ...login, ...more } };
  }

  async open(name: string, more: object = {}, replication = false): Promise<Client> {
    const session = await openSession(this.connection(more), outbound, { name, replication });
    this.#sessions.push(session);
    return session;
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#sessions.map((session) => session.end()));
    await this.server.stop();
  }
}

/** BackendKeyData: `K`, its length, the process, its key. */
const KEY_DATA = Buffer.from([0x4b, 0, 0, 0, 12]);

/** Answers for a server as poolers do: with a process of its own making. */
export async function startPooler(targetPort: number): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const pooler = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => (client.destroy(), upstream.destroy()));
    }
    let greeted = false;
    client.pipe(upstream);
    upstream.on('data', (bytes: Buffer) => {
      const at = greeted ? -1 : bytes.indexOf(KEY_DATA);
      if (at >= 0) {
        greeted = true;
        bytes.writeUInt32BE(bytes.readUInt32BE(at + KEY_DATA.length) ^ 1, at + KEY_DATA.length);
      }
      client.write(bytes);
    });
  });
  await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve));
  return {
    port: (pooler.address() as AddressInfo).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => pooler.close(resolve));
    },
  };
}

/** A store of its own for one spec, in a server of its own, with a workspace whose streams a test makes. */
import type { Log } from '@planasonix/core';
import { startPostgres, type Postgres } from '@planasonix/testing';
import type { DataSource } from 'typeorm';
import {
  ConnectionStore,
  openStore,
  PgStreamLedger,
  PipelineStore,
  SecretBox,
  StreamCommands,
  StreamStore,
  WorkspaceStore,
  type Actor,
  type Connection,
  type ConnectionInput,
  type Stream,
  type StreamInput,
} from './index.js';

export const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
export const KEY = Buffer.alloc(32, 1).toString('base64');

export class StoreUnderTest {
  readonly box = new SecretBox(KEY);
  readonly streams: StreamStore;
  readonly commands: StreamCommands;
  readonly ledger: PgStreamLedger;
  readonly connections: ConnectionStore;
  readonly pipelines: PipelineStore;
  #made = 0;

  private constructor(
    readonly server: Postgres,
    readonly store: DataSource,
  ) {
    this.streams = new StreamStore(store, this.box);
    this.commands = new StreamCommands(store);
    this.ledger = new PgStreamLedger(store, this.box);
    this.connections = new ConnectionStore(store, this.box);
    this.pipelines = new PipelineStore(store);
  }

  /** @param before what happens to the empty database */
  static async start(before?: (url: string) => Promise<unknown>): Promise<StoreUnderTest> {
    const server = await startPostgres();
    await before?.(server.url());
    return new StoreUnderTest(server, await openStore(server.url(), { log: quiet }));
  }

  /** Somebody in a workspace of his own. */
  async actor(workspace = 'w'): Promise<Actor> {
    const { id } = await new WorkspaceStore(this.store).create(workspace);
    return { workspaceId: id, keyId: null, address: null, requestId: null };
  }

  makeConnection(actor: Actor, of: Partial<ConnectionInput> = {}): Promise<Connection> {
    const name = `c${++this.#made}`;
    return this.connections.create(actor, { name, type: 'postgres', config: {}, secrets: null, ...of });
  }

  /** With a pipeline of its own; stopped, as every new one is. */
  async makeStream(actor: Actor, of: Partial<StreamInput> = {}): Promise<Stream> {
    const name = `s${++this.#made}`;
    const { id: pipelineId } = await this.pipelines.create(actor, { name, output: { type: 'redis_stream' } });
    const plain = { name, sourceType: 'postgres_cdc', pipelineId, connectionId: null, config: {}, secrets: null };
    return this.streams.create(actor, { ...plain, ...of });
  }

  async stop(): Promise<void> {
    await this.store.destroy();
    await this.server.stop('immediate');
  }
}

import { StreamError, type SourceContext } from '@planasonix/core';
import type { Client } from 'pg';
import { endSession } from './end-session.js';
import { AnotherServer, instanceOf, sameInstance } from './instance.js';
import type { ServerIdentity } from './position.js';
import { clientConfig, openSession } from './session.js';
import { identify } from './slot.js';

/** Sessions whose questions are short: a server that does not answer them is not waited for longer than this. */
const STATEMENT_MS: Readonly<Record<string, number>> = { control: 30_000, heartbeat: 30_000, slot: 45_000 };

/** Who answers on a session, for as long as it lasts. */
const answering = new WeakMap<Client, ServerIdentity>();

/** Several ask on the same session: each question waits for the answer to the one before. */
function oneByOne(client: Client): Client {
  const ask = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  let last: Promise<unknown> = Promise.resolve();
  const query = (...args: unknown[]): Promise<unknown> => {
    const answer = last.then(() => ask(...args));
    last = answer.catch(() => undefined);
    return answer;
  };
  return Object.assign(client, { query: query as unknown as Client['query'] });
}

/** Every session that one stream has open at its source, so that all of them end with it. */
export class Sessions {
  private readonly open_ = new Set<Client>();
  private shared: Promise<Client> | null = null;
  private closed = false;
  /** See `stayWith`. */
  private instance_: string | null = null;
  private elsewhere = false;

  /** @param name of the stream at the source: `application_name` begins with it. */
  constructor(
    private readonly context: SourceContext,
    private readonly name: string,
  ) {}

  /** The session for catalog questions; opened anew when it has broken. */
  async control(): Promise<Client> {
    this.refuse();
    this.shared ??= this.open('control').then((client) => {
      client.once('end', () => (this.shared = null));
      return oneByOne(client);
    });
    this.shared.catch(() => (this.shared = null));
    return this.shared;
  }

  async open(role: string, replication = false): Promise<Client> {
    const statementTimeoutMs = STATEMENT_MS[role];
    this.refuse();
    const client = await openSession(this.connection(), this.context.outbound, {
      name: `${this.name} ${role}`,
      replication,
      ...(statementTimeoutMs === undefined ? {} : { statementTimeoutMs }),
    });
    if (this.closed || this.elsewhere) await endSession(client);
    this.refuse();
    this.open_.add(client);
    client.once('end', () => this.open_.delete(client));
    await this.same(client);
    return client;
  }

  /**
   * An address may lead to another server than a moment ago, whose rows do not belong to these changes (trap 6). From now on
   * there are sessions at the server process that answers on `client`, and no others; once the address was seen to lead
   * elsewhere there are none at all: reading has to begin anew. Not for those that look now and then: a server may start again.
   * @throws StreamError `source_unreachable` where the session for catalog questions leads elsewhere already
   */
  async stayWith(client: Client): Promise<void> {
    this.instance_ = await instanceOf(client);
    await this.same(await this.control());
  }

  /** The server process that all of them lead to; `null`: any will do. */
  get instance(): string | null {
    return this.instance_;
  }

  /**
   * Which server answers on `control`, for those that look now and then: only the replication protocol tells, on a session of its
   * own, and an address may lead elsewhere for that one (trap 6). Asked once for each session.
   * @throws StreamError `source_unreachable` where it does
   */
  async serverAt(control: Client): Promise<ServerIdentity> {
    const known = answering.get(control);
    if (known !== undefined) return known;
    const replication = await this.open('control', true);
    try {
      const server = await identify(replication);
      await sameInstance(replication, control);
      answering.set(control, server);
      return server;
    } finally {
      await this.end(replication);
    }
  }

  /** For the driver that reads the WAL: it dials by itself. */
  dialling() {
    return clientConfig(this.connection(), this.context.outbound, { name: this.name });
  }

  async end(client: Client): Promise<void> {
    this.open_.delete(client);
    await endSession(client);
  }

  async close(): Promise<void> {
    this.closed = true;
    const sessions = [...this.open_];
    this.open_.clear();
    this.shared = null;
    await Promise.allSettled(sessions.map((session) => endSession(session)));
  }

  private refuse(): void {
    if (this.closed) throw new StreamError('source_unreachable', 'The source is closed.');
    if (this.elsewhere) throw new AnotherServer();
  }

  private async same(client: Client): Promise<void> {
    if (this.instance_ === null || (await instanceOf(client)) === this.instance_) return;
    this.elsewhere = true;
    await this.end(client);
    throw new AnotherServer();
  }

  private connection() {
    const { connection } = this.context;
    if (connection === null) throw new StreamError('config_invalid', 'A Postgres stream needs a connection.');
    return connection;
  }
}

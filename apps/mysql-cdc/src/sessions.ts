import { StreamError, type SourceContext } from '@planasonix/core';
import { serverOf, type Server } from './server.js';
import { openSession, type Session } from './session.js';

/** How long a question may take that is no more than that. */
export const QUESTION_MS = 30_000;

/** The sessions of one stream, so that closing ends them all. */
export class Sessions {
  #control: Promise<Session> | null = null;
  readonly #open = new Set<Session>();
  #closed = false;

  constructor(
    private readonly context: SourceContext,
    private readonly name: string,
  ) {}

  /** The one for questions; dialled anew where it broke. */
  control(): Promise<Session> {
    return (this.#control ??= this.open('control', QUESTION_MS));
  }

  /** After a failure: the next question dials. */
  forget(): void {
    const broken = this.#control;
    this.#control = null;
    broken?.then((session) => this.end(session)).catch(() => undefined);
  }

  /** Asks; after a failure the next question dials anew. */
  async ask<T>(question: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await question(await this.control());
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  async open(what: string, queryTimeoutMs?: number): Promise<Session> {
    const { connection, outbound } = this.context;
    if (connection === null) throw new StreamError('config_invalid', 'The stream has no connection.');
    const session = await openSession(connection, outbound, {
      name: `${this.name} ${what}`,
      ...(queryTimeoutMs === undefined ? {} : { queryTimeoutMs }),
    });
    if (this.#closed) {
      session.end();
      throw new StreamError('source_unreachable', 'The source was closed.');
    }
    this.#open.add(session);
    return session;
  }

  end(session: Session): void {
    this.#open.delete(session);
    session.end();
  }

  /**
   * Ends what a server does at a session that was ended here. Never throws: what can't be ended comes to its end by itself.
   * @param id `CONNECTION_ID()` there
   */
  async kill({ identity }: Pick<Server, 'identity'>, id: string): Promise<void> {
    if (!/^\d+$/.test(id)) return;
    await this.ask(async (session) => {
      // A balancer may lead elsewhere: there it is the number of another session.
      if ((await serverOf(session)).identity === identity) await session.query(`KILL ${id}`).catch(() => undefined);
    }).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    for (const session of this.#open) session.end();
    this.#open.clear();
  }
}

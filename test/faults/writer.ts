/** One client of the source that writes what its seed says, whatever happens to the server, and knows what was committed. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Change, Ledger } from './ledger.js';
import type { Origin, Session, Statement } from './origin.js';
import type { Seed } from './random.js';
import { firstTurn, marked, plan, type Plan } from './statements.js';
import { TABLES } from './tables.js';

export interface WriterDeps {
  readonly ledger: Ledger;
  readonly seed: Seed;
  readonly origin: Pick<Origin, 'connect' | 'grammar'>;
}

export class Writer {
  #client: Session | null = null;
  #n = 0;
  #seed: Seed;
  /** Of the seed's transactions, the last one. */
  #turn = 0;
  #state: 'running' | 'pausing' | 'paused' | 'stopped' = 'paused';
  #quiet: (() => void)[] = [];
  #go: () => void = () => undefined;
  #done: Promise<void> | null = null;

  constructor(
    readonly number: number,
    private readonly deps: WriterDeps,
  ) {
    this.#seed = deps.seed;
  }

  /** Its next transaction is the first one of this seed. */
  reseed(seed: Seed): void {
    this.#seed = seed;
    this.#turn = firstTurn(seed);
  }

  resume(): void {
    if (this.#state === 'stopped') return;
    this.#state = 'running';
    this.#go();
    this.#done ??= this.#run();
  }

  /** Resolves when its last transaction is over and known. */
  pause(): Promise<void> {
    if (this.#state !== 'running') return Promise.resolve();
    this.#state = 'pausing';
    return new Promise((resolve) => this.#quiet.push(resolve));
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#go();
    await this.#client?.end().catch(() => undefined);
    await this.#done;
  }

  /** One transaction of its marker and `more`, until it is committed. Only while paused. @returns its id */
  async sentinel(more: readonly Statement[]): Promise<string> {
    for (;;) {
      const n = ++this.#n;
      const statements = [this.deps.origin.grammar.mark(this.number, n), ...more];
      const tiny = more.length === 0;
      const known = await this.#perform({ before: [], statements, end: 'commit', tiny, pauseMs: 0 }, n);
      if (known === 'committed') return `${this.number}:${n}`;
      if (known === 'stopped') throw new Error('the load has ended');
    }
  }

  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  async #run(): Promise<void> {
    while (!this.#stopped()) {
      if (this.#state === 'pausing') {
        this.#state = 'paused';
        for (const tell of this.#quiet.splice(0)) tell();
      }
      if (this.#state === 'paused') {
        await new Promise<void>((resolve) => (this.#go = resolve));
        continue;
      }
      const n = ++this.#n;
      const next = plan(this.deps.origin.grammar, this.#seed, this.number, ++this.#turn, n);
      await this.#perform(next, n);
      if (next.pauseMs > 0) await wait(next.pauseMs);
    }
    for (const tell of this.#quiet.splice(0)) tell();
  }

  /** Never throws: whatever becomes of it, the ledger knows in the end. */
  async #perform({ before, statements, end, tiny }: Plan, n: number): Promise<'committed' | 'rolled back' | 'stopped'> {
    const { ledger } = this.deps;
    for (const statement of before) await this.#outside(statement);
    const id = `${this.number}:${n}`;
    const client = await this.#connected();
    if (client === null) return 'stopped';
    let changes: Change[] = [];
    let began: string | null = null;
    const marks: number[] = [];
    // From here on the server may have committed it, whether or not it lives to say so.
    let asked = tiny;
    try {
      if (!tiny) await client.query('BEGIN');
      for (const statement of statements) {
        const rows = await client.query(statement.sql, statement.values);
        const made = statement.effect?.(rows) ?? [];
        began = statement.place?.(rows) ?? began;
        if (statement.savepoint === 'open') marks.push(changes.length);
        else if (statement.savepoint !== undefined) {
          const at = marks.pop()!;
          if (statement.savepoint === 'back') changes = changes.slice(0, at);
        } else changes.push(...made);
      }
      asked ||= end === 'commit';
      if (!tiny) await client.query(end === 'commit' ? 'COMMIT' : 'ROLLBACK');
      if (end === 'commit') {
        ledger.committed(id, changes, began);
        return 'committed';
      }
    } catch {
      await client.query('ROLLBACK').catch(() => this.#drop());
      if (asked && (await this.#wasCommitted(n))) {
        ledger.committed(id, tiny ? marked(this.number, n) : changes, began);
        return 'committed';
      }
    }
    ledger.rolledBack(id);
    return 'rolled back';
  }

  /** It may fail: then nobody knows whether it was done. */
  async #outside({ sql, values, empties }: Statement): Promise<void> {
    const client = await this.#connected();
    if (client === null) return;
    const sure = empties === undefined ? null : this.deps.ledger.emptying(empties);
    await client.query(sql, values).then(sure, () => undefined);
  }

  /** The marker row says it; its lock is waited for, so a backend that is still at it has ended. */
  async #wasCommitted(n: number): Promise<boolean> {
    for (;;) {
      const client = await this.#connected();
      if (client === null) return false;
      try {
        const sql = `SELECT n FROM ${TABLES.marker.name} WHERE writer = ${this.number} FOR UPDATE`;
        const [row] = await client.query<{ n: number }>(sql);
        return row!.n === n;
      } catch {
        await this.#drop();
      }
    }
  }

  /** Tries for as long as it takes. `null`: it was stopped. */
  async #connected(): Promise<Session | null> {
    while (!this.#stopped()) {
      if (this.#client !== null) return this.#client;
      try {
        const client = await this.deps.origin.connect();
        client.onEnd(() => {
          if (this.#client === client) this.#client = null;
        });
        this.#client = client;
      } catch {
        await wait(50);
      }
    }
    return null;
  }

  async #drop(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => undefined);
  }
}

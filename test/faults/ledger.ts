/** What the writers know: which transactions the source has committed, and every change that each of them made. */
import type { Row } from './rows.js';

export interface Change {
  readonly op: 'c' | 'u' | 'd' | 't';
  readonly subject: string;
  readonly key: string;
  /** As the server said it (long texts by their digest); `null` for deletes and truncates. */
  readonly after: Row | null;
}

export interface Transaction {
  /** Writer and number: the content of its marker row. */
  readonly id: string;
  readonly changes: readonly Change[];
  /** A place in the server's log before its commit, `sortable`. */
  readonly began: string;
  /** The same some time after its commit; `null`: its writer has not looked since. */
  ended: string | null;
  /** Found in the log. */
  seen: boolean;
  /** Only so many of its changes are in the log, and in each copy of it: a told gap has the rest. `null`: all of them. */
  cutTo: number | null;
}

export class Ledger {
  readonly #committed = new Map<string, Transaction>();
  readonly #rolledBack = new Set<string>();
  readonly #open = new Set<string>();
  /** Writer → its last transaction. */
  readonly #last = new Map<string, Transaction>();
  /** Subject → how often it was emptied by a statement that is a transaction of its own. */
  readonly #emptied = new Map<string, { asked: number; sure: number; seen: number }>();

  /** @param forgetful drops what was found in the log, for runs of hours */
  constructor(private readonly forgetful = false) {}

  /**
   * @param began the end of the server's log within it, `sortable`: what its writer has committed before lies before that.
   *   `null`: nobody lived to say it
   */
  committed(id: string, changes: readonly Change[], began: string | null): void {
    const writer = id.split(':')[0]!;
    const before = this.#last.get(writer);
    if (before !== undefined) before.ended = began;
    const one: Transaction = {
      id,
      changes,
      began: began ?? before?.began ?? '',
      ended: null,
      seen: false,
      cutTo: null,
    };
    this.#last.set(writer, one);
    this.#committed.set(id, one);
    this.#open.add(id);
  }

  rolledBack(id: string): void {
    if (!this.forgetful) this.#rolledBack.add(id);
  }

  /** A table is to be emptied. @returns what is called where the server has said that it was */
  emptying(subject: string): () => void {
    const times = this.#emptied.get(subject) ?? { asked: 0, sure: 0, seen: 0 };
    this.#emptied.set(subject, times);
    times.asked += 1;
    return () => (times.sure += 1);
  }

  /** @returns whether somebody may have emptied it that often */
  sawEmptied(subject: string): boolean {
    const times = this.#emptied.get(subject);
    return times !== undefined && ++times.seen <= times.asked;
  }

  /** Tables that were emptied more often than was seen; counting begins anew. */
  unseenEmptied(): string[] {
    const unseen = [...this.#emptied].filter(([, { sure, seen }]) => seen < sure).map(([subject]) => subject);
    this.#emptied.clear();
    return unseen;
  }

  find(id: string): Transaction | null {
    return this.#committed.get(id) ?? null;
  }

  wasRolledBack(id: string): boolean {
    return this.#rolledBack.has(id);
  }

  saw(one: Transaction): void {
    one.seen = true;
    this.#open.delete(one.id);
    if (this.forgetful) this.#committed.delete(one.id);
  }

  /** Committed and not found in the log. */
  missing(): Transaction[] {
    return [...this.#open].map((id) => this.#committed.get(id)!);
  }

  /** Those that a new snapshot stands for. */
  excuse(these: readonly Transaction[]): void {
    for (const { id } of these) this.#open.delete(id);
  }

  /** The log is read again from its beginning. */
  unsee(): void {
    for (const times of this.#emptied.values()) times.seen = 0;
    for (const one of this.#committed.values()) {
      if (!one.seen) continue;
      one.seen = false;
      this.#open.add(one.id);
    }
  }
}

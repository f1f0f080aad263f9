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
  /** When the writer knew, ms. */
  readonly committedAt: number;
  /** Found in the log. */
  seen: boolean;
}

export class Ledger {
  readonly #committed = new Map<string, Transaction>();
  readonly #rolledBack = new Set<string>();
  readonly #open = new Set<string>();

  /** @param forgetful drops what was found in the log, for runs of hours */
  constructor(private readonly forgetful = false) {}

  committed(id: string, changes: readonly Change[]): void {
    this.#committed.set(id, { id, changes, committedAt: Date.now(), seen: false });
    this.#open.add(id);
  }

  rolledBack(id: string): void {
    if (!this.forgetful) this.#rolledBack.add(id);
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
    for (const one of this.#committed.values()) {
      if (!one.seen) continue;
      one.seen = false;
      this.#open.add(one.id);
    }
  }
}

/** Tells waiters that something has changed; they look for themselves what. Rings are counted, so none is missed. */
export class Bell {
  #count = 0;
  #waiters: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  ring(): void {
    this.#count++;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Resolves once it has rung since `seen` (a `count` that was read before looking). */
  async wait(seen = this.#count): Promise<void> {
    if (this.#count === seen) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }
}

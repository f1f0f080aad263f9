/** All writers of a scene, paused and resumed together. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Statement } from './origin.js';
import type { Seed } from './random.js';
import { Writer, type WriterDeps } from './writer.js';

export class Load {
  readonly #writers: readonly Writer[];
  /** Writer 0 says when everything has been said. */
  readonly #last: Writer;

  constructor(deps: WriterDeps & { readonly writers: number }) {
    this.#last = new Writer(0, deps);
    this.#writers = Array.from({ length: deps.writers }, (_, i) => new Writer(i + 1, deps));
  }

  /** What comes from here on is a function of this seed. */
  reseed(seed: Seed): void {
    for (const writer of this.#writers) writer.reseed(seed);
  }

  resume(): void {
    for (const writer of this.#writers) writer.resume();
  }

  async pause(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.pause()));
  }

  /** The load goes on for a while: the moment of a fault is a moment of the load. */
  goOn(ms: number): Promise<void> {
    return wait(ms);
  }

  /** A last transaction after all others, of nothing but its marker and `more`. @returns its id */
  sentinel(more: readonly Statement[] = []): Promise<string> {
    return this.#last.sentinel(more);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#writers, this.#last].map((writer) => writer.stop()));
  }
}

/**
 * A signal that is aborted with another one, or by itself. Not `AbortSignal.any`, which on Node 20 leaves an entry at a
 * signal that lives for long, for each one that was made of it.
 */
export class Limit {
  readonly #own = new AbortController();
  readonly #follow = () => this.#own.abort(this.other?.reason);

  constructor(private readonly other?: AbortSignal) {
    if (other?.aborted) this.#follow();
    other?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  /** Aborts it, and leaves nothing at the other one. To be called in any case. */
  end(): void {
    this.other?.removeEventListener('abort', this.#follow);
    this.#own.abort();
  }
}

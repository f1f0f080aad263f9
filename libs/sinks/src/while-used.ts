/** Nobody has used it for so long: it is closed, and opened anew for the next one. */
const REST_MS = 60_000;

/**
 * What is opened when it is first used, shared by all who use it at once, and closed when nobody has for a minute: users make
 * as many kinds of logs as they like, and each would keep a connection for ever.
 */
export class WhileUsed<T> {
  #open: T | null = null;
  #users = 0;
  #resting: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    private readonly open: () => T,
    private readonly close: (of: T) => void,
    private readonly restMs = REST_MS,
  ) {}

  /** @throws Error after `end` */
  async use<R>(use: (of: T) => Promise<R>): Promise<R> {
    if (this.#ended) throw new Error('The log was closed');
    clearTimeout(this.#resting);
    this.#users++;
    try {
      return await use((this.#open ??= this.open()));
    } finally {
      this.#users--;
      if (this.#users === 0 && !this.#ended) this.#resting = setTimeout(() => this.#rest(), this.restMs).unref();
    }
  }

  /** Also under those who use it at this moment. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#resting);
    this.#rest();
  }

  #rest(): void {
    const open = this.#open;
    this.#open = null;
    if (open !== null) this.close(open);
  }
}

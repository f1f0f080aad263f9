import type { Socket } from 'node:net';
import pg from 'pg';

/** How node-postgres words it; it gives no code. */
const isSilence = (error: unknown): boolean => error instanceof Error && error.message === 'Query read timeout';

/**
 * A connection of the pool that a query has waited on in vain is ended. The driver would give it back to the pool with
 * the query still on it: where the network has swallowed the connection, whoever gets it next waits in vain as well,
 * and so on for ever.
 */
export class StoreClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    const ask = this.query.bind(this) as (...args: unknown[]) => unknown;
    this.query = ((...args: unknown[]) => {
      const answer = ask(...args);
      if (answer instanceof Promise)
        answer.catch((error: unknown) => {
          if (isSilence(error)) this.cut();
        });
      return answer;
    }) as pg.Client['query'];
  }

  /** Without a farewell: nobody would hear it. */
  private cut(): void {
    (this as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream.destroy();
  }
}

import type { ClientProxy } from '@nestjs/microservices';
import type { Log } from '@planasonix/core';
import { lastValueFrom, timeout } from 'rxjs';

/** Sends events over a transport of Nest's. */
export interface Emitter {
  /** `false`: it was not sent. */
  emit(pattern: string, payload: unknown): Promise<boolean>;
  close(): Promise<void>;
}

/** What is asked of a client of Nest's. */
type EmittingClient = Pick<ClientProxy, 'emit'>;

export interface LossyTransport<Client extends EmittingClient> {
  create(): Client;
  /** Ends its connections without a farewell: a server that hangs would never answer one. */
  drop(client: Client): void;
  /** What is not sent by then is dropped. */
  readonly sendMs: number;
}

/**
 * Lossy: an event that can't be sent in time is dropped, and the client is made anew, for Nest's own never recover from a
 * first connection that failed.
 */
export class LossyEmitter<Client extends EmittingClient> implements Emitter {
  private client: Client | null = null;
  private closed = false;

  constructor(
    private readonly transport: LossyTransport<Client>,
    private readonly log: Log,
  ) {}

  async emit(pattern: string, payload: unknown): Promise<boolean> {
    if (this.closed) return false;
    const client = (this.client ??= this.transport.create());
    try {
      await lastValueFrom(client.emit(pattern, payload).pipe(timeout(this.transport.sendMs)), {
        defaultValue: undefined,
      });
      return true;
    } catch {
      this.log.debug({ pattern }, 'an event could not be sent');
      // The first of several that fail together ends the client; the others find it ended.
      if (this.client === client) {
        this.client = null;
        this.transport.drop(client);
      }
      return false;
    }
  }

  close(): Promise<void> {
    this.closed = true;
    if (this.client !== null) this.transport.drop(this.client);
    this.client = null;
    return Promise.resolve();
  }
}

import type { ClientProxy } from '@nestjs/microservices';
import { toldText, type Log } from '@planasonix/core';
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
  /** Why the last one was not sent, where that was told. */
  private told = '';

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
      this.told = '';
      return true;
    } catch (error) {
      const reason = reasonOf(error);
      if (this.told !== reason && !this.closed)
        this.log.warn({ pattern, reason }, 'events can not be sent and are dropped');
      this.told = reason;
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

/** Of an error of a transport's client; one for several topics has theirs within. */
export function reasonOf(error: unknown): string {
  const parts = error instanceof Error && 'errors' in error && Array.isArray(error.errors) ? error.errors : [error];
  const messages = parts.map((one: unknown) => (one instanceof Error ? one.message : String(one)));
  return toldText([...new Set(messages)].join('; '));
}

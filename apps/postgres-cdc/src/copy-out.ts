import type { Client } from 'pg';
import { CopyTap, type TappedStream } from './copy-tap.js';

interface Wire {
  query(text: string): void;
  readonly stream: TappedStream & { pause(): void; resume(): void };
}

const NEWLINE = 0x0a;

/** One row: bytes `start` to `end`, without the newline; valid during the call only. */
export type RowHandler = (bytes: Buffer, start: number, end: number) => void;

/**
 * `COPY … TO STDOUT`, row by row as the server sends it, with the socket as back-pressure. A query of its own for the
 * `pg` client: the rows never become strings.
 */
export class CopyOut {
  readonly done: Promise<void>;
  private wire: Wire | null = null;
  private tap: CopyTap | null = null;
  private resolve!: () => void;
  private reject!: (error: Error) => void;
  private error: Error | null = null;

  constructor(
    private readonly text: string,
    private readonly row: RowHandler,
  ) {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  static run(client: Client, text: string, row: RowHandler): CopyOut {
    const copy = new CopyOut(text, row);
    client.query(copy as never);
    client.once('end', copy.ended);
    void copy.done.catch(() => undefined).finally(() => client.removeListener('end', copy.ended));
    return copy;
  }

  pause(): void {
    this.wire?.stream.pause();
  }
  resume(): void {
    this.wire?.stream.resume();
  }

  private readonly ended = (): void => this.reject(new Error('Connection terminated'));

  private readonly copyData = (bytes: Buffer, start: number, end: number): void => {
    if (this.error !== null) return;
    try {
      this.row(bytes, start, bytes[end - 1] === NEWLINE ? end - 1 : end);
    } catch (error) {
      this.error = error instanceof Error ? error : new Error(String(error));
    }
  };

  // What the client calls on its active query.
  submit(wire: Wire): null {
    this.wire = wire;
    this.tap = new CopyTap(wire.stream, this.copyData);
    wire.query(this.text);
    return null;
  }
  handleCommandComplete(): void {
    this.tap?.off();
  }
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleReadyForQuery(): void {
    if (this.error === null) this.resolve();
    else this.reject(this.error);
  }
  handleError(error: Error): void {
    this.tap?.off();
    this.error ??= error;
    this.reject(this.error);
  }
}

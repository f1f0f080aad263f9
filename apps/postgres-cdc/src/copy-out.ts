import type { Client } from 'pg';

interface Wire {
  query(text: string): void;
  readonly stream: { pause(): void; resume(): void };
}

/**
 * `COPY … TO STDOUT`, row by row as the server sends it, with the socket as back-pressure. A query of its own for the
 * `pg` client: the rows never become strings.
 */
export class CopyOut {
  readonly done: Promise<void>;
  private wire: Wire | null = null;
  private resolve!: () => void;
  private reject!: (error: Error) => void;
  private error: Error | null = null;

  /** @param row one row with its newline; the bytes are valid during the call only. */
  constructor(
    private readonly text: string,
    private readonly row: (line: Buffer) => void,
  ) {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  static run(client: Client, text: string, row: (line: Buffer) => void): CopyOut {
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

  // What the client calls on its active query.
  submit(wire: Wire): null {
    this.wire = wire;
    wire.query(this.text);
    return null;
  }
  handleCopyData({ chunk }: { chunk: Buffer }): void {
    if (this.error !== null) return;
    try {
      this.row(chunk);
    } catch (error) {
      this.error = error instanceof Error ? error : new Error(String(error));
    }
  }
  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleEmptyQuery(): void {}
  handlePortalSuspended(): void {}
  handleReadyForQuery(): void {
    if (this.error === null) this.resolve();
    else this.reject(this.error);
  }
  handleError(error: Error): void {
    this.error ??= error;
    this.reject(this.error);
  }
}

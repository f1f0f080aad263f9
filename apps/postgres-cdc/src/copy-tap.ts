const COPY_DATA = 0x64;
/** One byte of kind, four of length; the length counts itself and not the kind. */
const HEADER = 5;

type Listener = (chunk: Buffer) => void;

/** What a tap needs of a socket. */
export interface TappedStream {
  listeners(event: 'data'): unknown[];
  on(event: 'data', listener: Listener): unknown;
  removeListener(event: 'data', listener: Listener): unknown;
  destroy(error: Error): unknown;
}

/** Contents of one CopyData message: bytes `start` to `end`; valid during the call only. */
export type CopyDataHandler = (bytes: Buffer, start: number, end: number) => void;

/**
 * Sits between a socket and the driver's parser while a COPY is under way: takes CopyData messages out where they lie, with
 * no object, slice or event of each, and hands every other message on as it came.
 */
export class CopyTap {
  private readonly behind: Listener[];
  /** A message of which not all has come: what there is of it, and how much that is. */
  private part = Buffer.allocUnsafe(HEADER);
  private partLength = 0;
  private isOff = false;
  private broken = false;

  constructor(
    private readonly stream: TappedStream,
    private readonly copyData: CopyDataHandler,
  ) {
    this.behind = stream.listeners('data') as Listener[];
    // Ours first: a socket without any listener would lose what comes.
    stream.on('data', this.arrived);
    for (const listener of this.behind) stream.removeListener('data', listener);
  }

  /** From the next message on everything is the driver's again. */
  off(): void {
    if (this.isOff) return;
    this.isOff = true;
    for (const listener of this.behind) this.stream.on('data', listener);
    this.stream.removeListener('data', this.arrived);
    if (this.partLength > 0) this.forward(this.part.subarray(0, this.partLength));
    this.partLength = 0;
  }

  private readonly arrived = (chunk: Buffer): void => {
    if (this.broken) return;
    const end = chunk.length;
    let at = this.partLength > 0 ? this.complete(chunk) : 0;
    while (!this.isOff && at + HEADER <= end) {
      const next = at + this.sizeAt(chunk, at);
      if (this.broken || next > end) break;
      this.message(chunk, at, next);
      at = next;
    }
    if (at >= end || this.broken) return;
    if (this.isOff) this.forward(chunk.subarray(at));
    else this.keep(chunk, at);
  };

  private message(bytes: Buffer, start: number, end: number): void {
    if (bytes[start] === COPY_DATA) this.copyData(bytes, start + HEADER, end);
    else this.forward(bytes.subarray(start, end));
  }

  private forward(bytes: Buffer): void {
    for (const listener of this.behind) listener.call(this.stream, bytes);
  }

  /** The beginning of a message whose rest is still to come. */
  private keep(chunk: Buffer, at: number): void {
    const there = chunk.length - at;
    this.part = Buffer.allocUnsafe(there < HEADER ? HEADER : this.sizeAt(chunk, at));
    chunk.copy(this.part, 0, at);
    this.partLength = there;
  }

  /** Goes on with a message that was begun. @returns how much of the chunk belongs to it. */
  private complete(chunk: Buffer): number {
    let at = 0;
    if (this.partLength < HEADER) {
      at = this.fill(chunk, 0, HEADER);
      if (this.partLength < HEADER) return at;
      const header = this.part;
      this.part = Buffer.allocUnsafe(this.sizeAt(header, 0));
      if (this.broken) return at;
      header.copy(this.part);
    }
    at += this.fill(chunk, at, this.part.length);
    if (this.partLength < this.part.length) return at;
    this.partLength = 0;
    this.message(this.part, 0, this.part.length);
    return at;
  }

  private fill(chunk: Buffer, from: number, until: number): number {
    const taken = Math.min(until - this.partLength, chunk.length - from);
    chunk.copy(this.part, this.partLength, from, from + taken);
    this.partLength += taken;
    return taken;
  }

  /** Bytes of the message that begins there. What can't be one ends the connection. */
  private sizeAt(bytes: Buffer, at: number): number {
    const length = (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!;
    if (length < 4) {
      this.broken = true;
      this.stream.destroy(new RangeError(`the server sent a message of ${length} bytes`));
    }
    return 1 + Math.max(length, 4);
  }
}

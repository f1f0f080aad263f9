import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';

const MARK = 12;
const TOKEN = MARK + 4;

/**
 * Requests with records in them, past kafkajs: it would copy them five times over, into memory that it zeroes first. It
 * writes the head of such a request and a token; the socket writes what the token stands for.
 */
export class RequestPieces {
  readonly #mark = randomBytes(MARK);
  readonly #waiting = new Map<number, readonly Buffer[]>();
  #last = 0;

  /** @returns the token, which has to be the end of a request */
  leave(pieces: readonly Buffer[]): Buffer {
    this.#last = (this.#last + 1) >>> 0;
    this.#waiting.set(this.#last, pieces);
    const token = Buffer.alloc(TOKEN);
    this.#mark.copy(token);
    token.writeUInt32BE(this.#last, MARK);
    return token;
  }

  /** Of a request that is answered, or failed: it may never have been written. */
  forget(token: Buffer): void {
    this.#waiting.delete(token.readUInt32BE(MARK));
  }

  through<S extends Socket>(socket: S): S {
    const write = socket.write.bind(socket) as (data: unknown, ...more: unknown[]) => boolean;
    const put = (data: unknown, ...more: unknown[]): boolean => {
      const pieces = Buffer.isBuffer(data) ? this.#take(data) : null;
      if (pieces === null) return write(data, ...more);
      socket.cork();
      let goesOn = true;
      for (const piece of pieces) goesOn = write(piece);
      socket.uncork();
      return goesOn;
    };
    socket.write = put;
    return socket;
  }

  #take(request: Buffer): readonly Buffer[] | null {
    const at = request.length - TOKEN;
    if (at < 4 || !request.subarray(at, at + MARK).equals(this.#mark)) return null;
    const pieces = this.#waiting.get(request.readUInt32BE(at + MARK));
    if (pieces === undefined) return null;
    const head = request.subarray(0, at);
    head.writeInt32BE(pieces.reduce((sum, { length }) => sum + length, at - 4));
    return [head, ...pieces];
  }
}

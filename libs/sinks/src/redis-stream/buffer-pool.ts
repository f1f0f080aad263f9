const SMALL = 16 * 1024;
const MAX_KEPT = 16;

/** Buffers for the wire, used again: a fresh megabyte costs the kernel 250 page faults. */
export class BufferPool {
  readonly #free: Buffer[] = [];

  take(bytes: number): Buffer {
    if (bytes < SMALL) return Buffer.allocUnsafe(bytes);
    for (let i = this.#free.length - 1; i >= 0; i--) {
      const buffer = this.#free[i]!;
      if (buffer.length < bytes) continue;
      this.#free.splice(i, 1);
      return buffer;
    }
    return Buffer.allocUnsafeSlow(Math.ceil(bytes / 65_536) * 65_536);
  }

  /** @param part what `take` gave or a part of it from its start; nobody may hold it any more. */
  give(part: Buffer): void {
    if (part.length < SMALL || part.buffer.byteLength > 4_194_304 || part.byteOffset !== 0) return;
    if (this.#free.length >= MAX_KEPT) this.#free.shift();
    this.#free.push(Buffer.from(part.buffer, 0, part.buffer.byteLength));
  }
}

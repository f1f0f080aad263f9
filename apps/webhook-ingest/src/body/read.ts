import type { IncomingMessage } from 'node:http';

export type Read = Buffer | 'too_large' | 'cut_short' | 'too_slow' | 'no_memory';

/** Bytes that all requests together hold. Invariant 6. */
export class Memory {
  #held = 0;

  constructor(private readonly most: number) {}

  take(bytes: number): boolean {
    if (this.#held + bytes > this.most) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/**
 * The body as it was sent, within its limits.
 * @param memories each has to have room; what is held of them is given back by `release`
 */
export async function readBody(
  request: IncomingMessage,
  limits: { readonly maxBytes: number; readonly withinMs: number },
  memories: readonly Memory[],
): Promise<{ readonly read: Read; readonly release: () => void }> {
  const chunks: Buffer[] = [];
  let size = 0;
  const release = () => {
    for (const memory of memories) memory.give(size);
    size = 0;
  };
  const read = await new Promise<Read>((resolve) => {
    const end = (how: Read) => {
      clearTimeout(timer);
      request.off('data', onData);
      resolve(how);
    };
    const timer = setTimeout(() => end('too_slow'), limits.withinMs);
    const onData = (chunk: Buffer) => {
      if (size + chunk.length > limits.maxBytes) return end('too_large');
      if (!takeOfAll(memories, chunk.length)) return end('no_memory');
      size += chunk.length;
      chunks.push(chunk);
    };
    request.on('data', onData);
    request.once('end', () => end(request.complete ? Buffer.concat(chunks) : 'cut_short'));
    request.once('error', () => end('cut_short'));
    request.once('close', () => end('cut_short'));
  });
  return { read, release };
}

function takeOfAll(memories: readonly Memory[], bytes: number): boolean {
  const taken: Memory[] = [];
  for (const memory of memories) {
    if (!memory.take(bytes)) {
      for (const one of taken) one.give(bytes);
      return false;
    }
    taken.push(memory);
  }
  return true;
}

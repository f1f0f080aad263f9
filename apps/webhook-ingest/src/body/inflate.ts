import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import type { Hold } from './memory.js';

/**
 * `too_large`: more than it may be, however small it was sent (trap 30). `unreadable`: not what its header says.
 * `no_memory`: others hold it.
 */
export type Inflated = Buffer | 'too_large' | 'unreadable' | 'no_memory';

const INFLATERS = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  br: createBrotliDecompress,
  deflate: createInflate,
} as const;
type Inflater = (typeof INFLATERS)[keyof typeof INFLATERS];

export type Encoding = keyof typeof INFLATERS | 'identity';

/** What `Content-Encoding` says; `null`: something, or more than one thing, that is not taken. */
export function encodingOf(header: string | undefined): Encoding | null {
  const name = (header ?? '').trim().toLowerCase();
  if (name === '' || name === 'identity') return 'identity';
  return Object.hasOwn(INFLATERS, name) ? (name as Encoding) : null;
}

/** In another thread, never further than `max` bytes, and no further than `hold` has room as it grows. */
export async function inflated(body: Buffer, encoding: Encoding, max: number, hold: Hold): Promise<Inflated> {
  if (encoding === 'identity') return body;
  const read = await inflatedBy(INFLATERS[encoding], { body, max, hold });
  // Many senders mean it without its frame.
  if (read === 'unreadable' && encoding === 'deflate') return inflatedBy(createInflateRaw, { body, max, hold });
  return read;
}

async function inflatedBy(
  inflater: Inflater,
  { body, max, hold }: { readonly body: Buffer; readonly max: number; readonly hold: Hold },
): Promise<Inflated> {
  const chunks: Buffer[] = [];
  let size = 0;
  const stream = inflater();
  stream.end(body);
  try {
    // Left early, the stream is destroyed.
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (size + chunk.length > max) return 'too_large';
      const room = hold.take(chunk.length);
      if (room !== 'room') return room === 'never' ? 'too_large' : 'no_memory';
      size += chunk.length;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, size);
  } catch {
    hold.give(size);
    return 'unreadable';
  }
}

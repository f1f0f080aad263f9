import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib';

/** `too_large`: more than it may be, however small it was sent (trap 30). `unreadable`: not what its header says. */
export type Inflated = Buffer | 'too_large' | 'unreadable';

const INFLATERS = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  br: promisify(brotliDecompress),
  deflate: promisify(inflate),
} as const;
const raw = promisify(inflateRaw);

export type Encoding = keyof typeof INFLATERS | 'identity';

/** What `Content-Encoding` says; `null`: something, or more than one thing, that is not taken. */
export function encodingOf(header: string | undefined): Encoding | null {
  const name = (header ?? '').trim().toLowerCase();
  if (name === '' || name === 'identity') return 'identity';
  return Object.hasOwn(INFLATERS, name) ? (name as Encoding) : null;
}

/** In another thread, and never further than `max` bytes. */
export async function inflated(body: Buffer, encoding: Encoding, max: number): Promise<Inflated> {
  if (encoding === 'identity') return body;
  const options = { maxOutputLength: max };
  try {
    return await INFLATERS[encoding](body, options);
  } catch (error) {
    if (isTooLarge(error)) return 'too_large';
    if (encoding !== 'deflate') return 'unreadable';
  }
  // Many senders mean it without its frame.
  return raw(body, options).catch((error: unknown) => (isTooLarge(error) ? 'too_large' : 'unreadable'));
}

const isTooLarge = (error: unknown): boolean => (error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';

import type { IncomingMessage } from 'node:http';
import type { Hold } from './memory.js';

export type Read = Buffer | 'too_large' | 'cut_short' | 'too_slow' | 'no_memory';

/** The body as it was sent, within its limits. @param hold what it takes is for the caller to release */
export async function readBody(
  request: IncomingMessage,
  limits: { readonly maxBytes: number; readonly withinMs: number },
  hold: Hold,
): Promise<Read> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise<Read>((resolve) => {
    const end = (how: Read) => {
      clearTimeout(timer);
      hold.revocable(null);
      request.off('data', onData);
      // The request lives until it is answered, and what listens to it would keep them.
      chunks.length = 0;
      resolve(how);
    };
    const timer = setTimeout(() => end('too_slow'), limits.withinMs);
    const onData = (chunk: Buffer) => {
      if (size + chunk.length > limits.maxBytes) return end('too_large');
      if (hold.take(chunk.length) !== 'room') return end('no_memory');
      size += chunk.length;
      chunks.push(chunk);
    };
    request.on('data', onData);
    hold.revocable(() => end('no_memory'));
    // The first of them counts.
    request.on('end', () => end(request.complete ? Buffer.concat(chunks) : 'cut_short'));
    request.on('error', () => end('cut_short'));
    request.on('close', () => end('cut_short'));
  });
}

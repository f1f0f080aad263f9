import type { IncomingMessage } from 'node:http';

/** What a sender may still send after the answer that its body is too large. Invariant 6. */
const MOST_BYTES = 64 * 1024 * 1024;
const MOST_MS = 2_000;

/**
 * For an answer that is given before the whole body was read. A connection that is closed over unread bytes is reset, and
 * the reset takes the answer with it: the rest is read and thrown away, and who sends on beyond the bounds is cut off.
 */
export function discardUnread(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let bytes = 0;
  const cutOff = () => void request.socket.destroy();
  const timer = setTimeout(cutOff, MOST_MS);
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) cutOff();
  });
  request.once('close', () => clearTimeout(timer));
  request.resume();
}

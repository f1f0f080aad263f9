import { crc32 } from 'node:zlib';
import type { SignedRequest } from './scheme.js';

/** What a template of signed bytes may name. */
const PLACEHOLDER = /\{(timestamp|body|id|url|method|crc32)\}/;

interface Found {
  readonly timestamp: string;
  readonly id: string | null;
}

interface Beside {
  readonly other: string;
  readonly side: 'before' | 'after';
  readonly between: string;
}

/** What stands beside a placeholder in a template, and the text that parts them. */
export function besides(text: string, name: string): readonly Beside[] {
  const pieces = text.split(PLACEHOLDER);
  return pieces.flatMap((piece, i) => {
    if (i % 2 === 0 || piece !== name) return [];
    return [i - 2, i + 2]
      .filter((at) => at > 0 && at < pieces.length)
      .map((at) => ({
        other: pieces[at]!,
        side: at < i ? ('before' as const) : ('after' as const),
        between: pieces[(i + at) / 2]!,
      }));
  });
}

/** Gives the bytes that a template stands for; `null` where the request lacks what it names. */
export type Template = (found: Found, request: SignedRequest) => readonly Buffer[] | null;

/** Read once: it is filled for every delivery. */
export function templateOf(text: string): Template {
  const pieces = text
    .split(PLACEHOLDER)
    .map((piece, i) => (i % 2 === 0 ? Buffer.from(piece) : piece))
    .filter((piece) => piece.length > 0);
  return ({ timestamp, id }, request) => {
    const parts: Buffer[] = [];
    for (const piece of pieces) {
      if (typeof piece !== 'string') parts.push(piece);
      else if (piece === 'body') parts.push(request.body);
      else if (piece === 'crc32') parts.push(Buffer.from(String(crc32(request.body))));
      else {
        const named = { timestamp, id, url: request.url, method: request.method }[piece as 'id'];
        if (named === null || named === '') return null;
        parts.push(Buffer.from(named));
      }
    }
    return parts.filter((part) => part.length > 0);
  };
}

import type { SignedRequest } from './scheme.js';

/** What a template of signed bytes may name. */
export const PLACEHOLDER = /\{(timestamp|body|id|url|method)\}/;

/** The bytes that a template stands for; `null` where the request lacks what it names. */
export function fillTemplate(
  template: string,
  found: { readonly timestamp: string; readonly id: string | null },
  request: SignedRequest,
): readonly Buffer[] | null {
  const parts: Buffer[] = [];
  const pieces = template.split(PLACEHOLDER);
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i]!;
    if (i % 2 === 0) parts.push(Buffer.from(piece));
    else if (piece === 'body') parts.push(request.body);
    else {
      const { method, url } = request;
      const text = { ...{ timestamp: found.timestamp, id: found.id }, method, url }[piece as 'id'];
      if (text === null || text === '') return null;
      parts.push(Buffer.from(text));
    }
  }
  return parts.filter((part) => part.length > 0);
}

import { ApiError } from '../contract/api-error.js';
import { textProblem } from './json-text.js';
import { refusal } from './issues.js';
import { snake } from './casing.js';

/**
 * Parses a query. A parameter that is given twice is refused: which one counts would be a guess.
 * @throws ApiError `invalid_url` for malformed percent-encoding, `invalid_request` otherwise.
 */
export function parseQuery(text: string): Record<string, string> {
  const found = new Map<string, string>();
  for (const part of text.split('&')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const [name, value] = at === -1 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
    const problem = textProblem(name) ?? textProblem(value);
    if (problem !== null) throw refusal([{ field: snake(name.slice(0, 60).replaceAll('\0', '')), issue: problem }]);
    if (found.has(name)) throw refusal([{ field: snake(name.slice(0, 60)), issue: 'is given more than once' }]);
    found.set(name, value);
  }
  return Object.fromEntries(found);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new ApiError('invalid_url');
  }
}

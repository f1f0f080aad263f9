import { ApiError, badField } from '../contract/api-error.js';
import { snakePath } from './casing.js';
import { repeatedKey } from './repeated-key.js';
import { refusal } from './issues.js';

/** Deeper than any body of the contract, shallower than what hurts a recursive reader. */
export const MAX_DEPTH = 32;
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Parses a request body. Beyond JSON's own rules: valid UTF-8, no key that could reach a prototype, no NUL, no lone
 * surrogate, no number beyond what a double can hold, at most 32 levels, no key twice in one object.
 * @returns `undefined` for an empty body.
 * @throws ApiError `invalid_json` or `invalid_request`.
 */
export function parseBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  let value: unknown;
  let text: string;
  try {
    text = utf8.decode(bytes);
    if (text.trim() === '') return undefined;
    value = JSON.parse(text);
  } catch {
    // The parser's own message would quote the body, secrets and all.
    throw new ApiError('invalid_json');
  }
  inspect(value, []);
  const twice = repeatedKey(text);
  if (twice !== null) throw refusal([{ field: snakePath(twice), issue: 'is given more than once' }]);
  return value;
}

function inspect(value: unknown, path: readonly (string | number)[]): void {
  if (typeof value === 'string') return inspectText(value, path);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw badField(snakePath(path), 'must be a number that a double can hold');
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (path.length >= MAX_DEPTH)
    throw badField(snakePath(path.slice(0, 3)), `must not be nested over ${MAX_DEPTH} levels deep`);
  if (Array.isArray(value)) {
    value.forEach((item, i) => inspect(item, [...path, i]));
    return;
  }
  for (const key of Object.keys(value)) {
    if (FORBIDDEN_KEYS.has(key)) throw badField(snakePath(path), `must not have a key named ${key}`);
    inspectText(key, path);
    inspect((value as Record<string, unknown>)[key], [...path, key]);
  }
}

function inspectText(text: string, path: readonly (string | number)[]): void {
  const problem = textProblem(text);
  if (problem !== null) throw badField(snakePath(path), problem);
}

/** Why a text can't be stored or compared, or `null`. */
export function textProblem(text: string): string | null {
  if (text.includes('\0')) return 'must not contain NUL';
  if (!text.isWellFormed()) return 'must not contain lone surrogates';
  return null;
}

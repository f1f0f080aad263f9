/** Names under which secrets travel. What stands under one of them never reaches a log line, however deep it lies. */
const SECRET_NAME =
  /^(?:(?:proxy-?)?authorization|(?:set-)?cookie|pass(?:word|wd|phrase)?|pwd|.*secrets?|.*tokens?|.*api[-_]?key|key|(?:private|encryption)[-_]?keys?(?:[-_]old)?|sasl|connection[-_]?string|credentials?|parameters)$/i;
const CENSOR = '[redacted]';

/**
 * `postgres://user:password@host`: drivers put addresses into their messages. From `://` on, which no part of it can
 * hold: a search for the scheme before it takes the square of the text's length.
 */
const PASSWORD_IN_URL = /(:\/\/[^\s:/@]*):[^\s/@]+@/g;
const API_KEY = /\bplnx_live_[\w-]+/g;

/** Bounds of a line. Invariant 6. */
const LONGEST = 4000;
const DEEPEST = 6;
const WIDEST = 100;

export function plainText(text: string): string {
  const clean = text.replace(PASSWORD_IN_URL, `$1:${CENSOR}@`).replace(API_KEY, CENSOR);
  return clean.length > LONGEST ? `${clean.slice(0, LONGEST)}…` : clean;
}

/**
 * What may be told of an error. Nothing but these fields: drivers hang the failed command onto it with its arguments
 * (ioredis), the row that broke a constraint (pg), the parameters of a query (TypeORM).
 */
function tellError(error: Error, depth: number): object {
  const { code, cause, errors } = error as Error & { code?: unknown; errors?: unknown };
  return {
    type: error.name,
    message: plainText(error.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: plainText(error.stack) }),
    ...(cause === undefined ? {} : { cause: tell(cause, depth + 1) }),
    ...(Array.isArray(errors) ? { errors: tell(errors, depth + 1) } : {}),
  };
}

/** A value as a log line may show it: without secrets, without bytes, bounded. */
function tell(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return plainText(value);
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return depth > DEEPEST ? plainText(value.message) : tellError(value, depth);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth > DEEPEST) return '[…]';
  if (Array.isArray(value)) return value.slice(0, WIDEST).map((one) => tell(one, depth + 1));
  if (value instanceof Map) return tell(Object.fromEntries(value), depth);
  if (value instanceof Set) return tell([...(value as Set<unknown>)], depth);
  if ('toJSON' in value && typeof value.toJSON === 'function')
    return tell((value as { toJSON(): unknown }).toJSON(), depth + 1);
  return tellFields(value, depth);
}

const tellFields = (fields: object, depth: number): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields)
      .slice(0, WIDEST)
      .map(([name, value]) => [name, SECRET_NAME.test(name) && value != null ? CENSOR : tell(value, depth + 1)]),
  );

/** The fields of a log line without what must not stand in it. Never throws. */
export function withoutSecrets(fields: object): Record<string, unknown> {
  try {
    return tellFields(fields, 0);
  } catch {
    return { unreadable: true };
  }
}

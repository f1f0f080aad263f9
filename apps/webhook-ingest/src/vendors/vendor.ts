import type { CertifiedRule } from '../verify/certified.js';
import type { SignatureRule } from '../verify/signature.js';

/**
 * Where an id or a type lies: in a header, in the first header of several that is there, in the JSON of the body, or in
 * that part of what the proof covers, as it was read for the proof: a second reader might find something else.
 */
export type Place =
  | { readonly header: string }
  | { readonly headers: readonly string[] }
  | { readonly pointer: string }
  | { readonly signedPart: number };

/** The headers that it may be in, the first one first. */
export function headersOf(place: Place): readonly string[] {
  if ('header' in place) return [place.header];
  return 'headers' in place ? place.headers : [];
}

/** What a handshake is answered with. */
export type Handshake = object | 'no_content';

/** A vendor's scheme: data, and at most one function. */
export interface Vendor {
  readonly name: string;
  /** How it proves who sent it: a signature, one under its certificate, or a secret that is sent as it is. */
  readonly proof: SignatureRule | CertifiedRule | { readonly tokenHeader: string };
  /** What its secrets look like, where not any text will do: a regular expression, and the same in words. */
  readonly secret?: { readonly pattern: string; readonly means: string };
  readonly eventId?: Place;
  /** The proof covers the id: then the id alone tells a repeat. */
  readonly idIsSigned: boolean;
  readonly eventType?: Place;
  /** What its bodies are; by default JSON. */
  readonly bodies?: 'form';
  /** The answer to a handshake, which is no event; `null`: this is none. @param body its JSON. @param key that has proved it. */
  readonly handshake?: (body: unknown, key: Buffer) => Handshake | null;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** What is in untyped JSON, by the names that lead to it. */
export function valueAt(value: unknown, ...names: readonly string[]): unknown {
  let at = value;
  for (const name of names) at = isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  return at;
}

/** A text in untyped JSON, by the names that lead to it. */
export function textAt(value: unknown, ...names: readonly string[]): string | null {
  const at = valueAt(value, ...names);
  return typeof at === 'string' ? at : null;
}

import { StreamError, type JsonSchema } from '@planasonix/core';
import type { SecretBox } from './secret-box.js';

/** How a secret shows in every answer. Sent back as it is, it means "unchanged". */
export const MASK = '********';

/** Whether a config holds a mask, and not the secret itself. */
export const hasMask = (config: unknown): boolean => JSON.stringify(config).includes(`"${MASK}"`);

type Json = Record<string, unknown>;
type Path = readonly (string | number)[];

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Paths of the values that the schema marks `writeOnly`, as they occur in `value`. */
function secretPaths(schema: unknown, value: unknown, at: Path = []): Path[] {
  if (!isObject(schema) || value === undefined || value === null) return [];
  if (schema['writeOnly'] === true) return [at];
  const found: Path[] = [];
  for (const word of ['oneOf', 'anyOf', 'allOf'] as const)
    for (const one of (schema[word] as unknown[] | undefined) ?? []) found.push(...secretPaths(one, value, at));
  if (isObject(value) && isObject(schema['properties']))
    for (const [name, of] of Object.entries(schema['properties']))
      if (Object.hasOwn(value, name)) found.push(...secretPaths(of, value[name], [...at, name]));
  if (Array.isArray(value)) value.forEach((item, i) => found.push(...secretPaths(schema['items'], item, [...at, i])));
  return [...new Map(found.map((path) => [JSON.stringify(path), path])).values()];
}

function write(root: unknown, path: Path, value: unknown): void {
  let at = root as Record<string | number, unknown>;
  for (const part of path.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
  at[path.at(-1)!] = value;
}

const read = (root: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, part) => (at as Record<string | number, unknown> | undefined)?.[part], root);

export interface SplitConfig {
  /** The config with every secret replaced by the mask: this is what is stored in the clear and answered. */
  readonly shown: Json;
  /** JSON text of `[path, secret]` pairs to be sealed, or `null` when there is none. */
  readonly secrets: string | null;
}

/**
 * Takes the secrets out of a config. A value that is the mask keeps what `earlier` holds at that place.
 * @param earlier the config before, secrets in the clear.
 */
export function splitSecrets(schema: JsonSchema, config: Json, earlier?: Json): SplitConfig {
  const shown = structuredClone(config);
  const secrets: [Path, unknown][] = [];
  for (const path of secretPaths(schema, config)) {
    const given = read(config, path);
    const secret = JSON.stringify(given) === JSON.stringify(mask(given)) ? (read(earlier, path) ?? given) : given;
    secrets.push([path, secret]);
    write(shown, path, mask(given));
  }
  return { shown, secrets: secrets.length === 0 ? null : JSON.stringify(secrets) };
}

/** A list of secrets keeps its length, so that users see how many are live. */
const mask = (value: unknown): unknown => (Array.isArray(value) ? value.map(() => MASK) : MASK);

/** The config as a driver needs it. */
export function joinSecrets(shown: Json, secrets: string | null): Json {
  const config = structuredClone(shown);
  if (secrets !== null)
    for (const [path, secret] of JSON.parse(secrets) as [Path, unknown][]) write(config, path, secret);
  return config;
}

/**
 * The config as a driver needs it, or as users see it where its secrets can't be read: that of one row is no reason for
 * others to wait, and what needs no secret (a stop, a delete) can be done all the same.
 */
export function unsealed(
  box: SecretBox,
  shown: Json,
  envelope: string | null,
  place: string,
): { readonly config: Json; readonly sealed: string | null } {
  try {
    return { config: joinSecrets(shown, envelope === null ? null : box.open(envelope, place)), sealed: null };
  } catch (error) {
    if (error instanceof StreamError) return { config: shown, sealed: error.message };
    throw error;
  }
}

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
 * Takes the secrets out of a config. A value that is the mask keeps what `earlier` holds at that place: a list of masks
 * only if it is as long as what it hides, and a mask within an element of a list only beside what it was shown with.
 * One that hides nothing, or nobody can say what, stays a mask, for the caller to refuse.
 * @param earlier the config before, secrets in the clear.
 */
export function splitSecrets(schema: JsonSchema, config: Json, earlier?: Json): SplitConfig {
  const paths = secretPaths(schema, config);
  const shown = masked(config, paths);
  const given = withLooks(config, shown);
  const before = earlier && withLooks(earlier, masked(earlier, secretPaths(schema, earlier)));
  const secrets = paths.map((path): [Path, unknown] => {
    const value = read(config, path);
    return [path, before && isMask(value) ? (kept(given, before, path) ?? value) : value];
  });
  return { shown, secrets: secrets.length === 0 ? null : JSON.stringify(secrets) };
}

/** A list of secrets keeps its length, so that users see how many are live. */
const mask = (value: unknown): unknown => (Array.isArray(value) ? value.map(() => MASK) : MASK);

const isMask = (value: unknown): boolean => JSON.stringify(value) === JSON.stringify(mask(value));

function masked(config: Json, paths: readonly Path[]): Json {
  const shown = structuredClone(config);
  for (const path of paths) write(shown, path, mask(read(config, path)));
  return shown;
}

interface Masked {
  readonly config: Json;
  /** The same with its secrets masked. */
  readonly shown: Json;
  /**
   * For each element of a list of `shown` those that look like it, by their indices, and which of them it is; and by
   * its look. Each list is looked at once, for it may be long.
   */
  looks(list: readonly unknown[]): {
    readonly of: readonly { readonly look: string; readonly nth: number }[];
    readonly at: ReadonlyMap<string, readonly number[]>;
  };
}

function withLooks(config: Json, shown: Json): Masked {
  const known = new Map<readonly unknown[], ReturnType<Masked['looks']>>();
  const looks = (list: readonly unknown[]) => {
    const found = known.get(list);
    if (found) return found;
    const at = new Map<string, number[]>();
    const of = list.map((item, i) => {
      const look = sorted(item);
      const others = at.get(look) ?? [];
      at.set(look, others);
      return { look, nth: others.push(i) - 1 };
    });
    known.set(list, { of, at });
    return { of, at };
  };
  return { config, shown, looks };
}

/** Elements that look alike of which one may be found by its being the only one that is masked. */
const FEW = 10;

/** What the mask at `path` stands for, or `undefined`. */
function kept(given: Masked, earlier: Masked, path: Path): unknown {
  const there: (string | number)[] = [];
  for (const [depth, part] of path.entries()) {
    if (typeof part === 'string') there.push(part);
    else {
      const index = placeOf(given, earlier, { here: path.slice(0, depth), there, below: path.slice(depth) });
      if (index === undefined) return undefined;
      there.push(index);
    }
  }
  const secret = read(earlier.config, there);
  const sent = read(given.config, path);
  // Fewer masks than secrets would keep some that nobody sees.
  if (Array.isArray(sent)) return Array.isArray(secret) && secret.length === sent.length ? secret : undefined;
  return Array.isArray(secret) ? undefined : secret;
}

/**
 * Where in the list before an element stood. Not at the same index: a list that was shortened would give the secret of
 * one to another. Of several that look alike the order counts, if they are as many as before.
 */
function placeOf(
  given: Masked,
  earlier: Masked,
  of: { readonly here: Path; readonly there: Path; readonly below: Path },
): number | undefined {
  const list = read(given.shown, of.here);
  const before = read(earlier.shown, of.there);
  if (!Array.isArray(list) || !Array.isArray(before)) return undefined;
  const index = of.below[0] as number;
  const { look, nth } = given.looks(list).of[index]!;
  const now = given.looks(list).at.get(look)!;
  const then = earlier.looks(before).at.get(look) ?? [];
  if (now.length === then.length) return then[nth];
  if (then.length !== 1 || now.length > FEW) return undefined;
  const asking = now.filter((i) => isMask(read(given.config, [...of.here, i, ...of.below.slice(1)])));
  return asking.length === 1 ? then[0] : undefined;
}

/** JSON text that does not depend on the order of keys. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );

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

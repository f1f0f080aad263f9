import { joinSecrets, MASK, splitSecrets, type SplitConfig } from '@planasonix/store';
import { canonicalKeys, snakePath } from '../input/casing.js';
import { ajvFindings, refusal } from '../input/issues.js';
import { givenTwice } from '../input/validate.js';
import type { KnownSource } from './source-catalog.js';

type Json = Record<string, unknown>;

/** A config in the casing of the announced schema. @throws ApiError for a key that is given in both. */
export function canonicalConfig(source: KnownSource, given: Json): Json {
  const { value, twice } = canonicalKeys(source.config_schema, given);
  if (twice.length > 0) throw givenTwice(twice, ['config']);
  return value as Json;
}

/** JSON merge patch (RFC 7396) of the top level: null takes a key away, anything else replaces it. */
export function mergePatch(before: Json, patch: Json): Json {
  const merged = new Map(Object.entries(before));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, value);
  }
  // Not by assignment: a key `__proto__` would become the prototype, and be lost.
  return Object.fromEntries(merged);
}

/**
 * Checks a config against the announced schema and takes its secrets out.
 * @param earlier the config before, secrets in the clear: a mask that is sent back keeps what it hid.
 * @throws ApiError `invalid_request`.
 */
export function checkedConfig(source: KnownSource, config: Json, earlier?: Json): SplitConfig {
  const split = splitSecrets(source.config_schema, config, earlier);
  refuseMasks(split, 'config');
  // What is validated is what a worker will read: with the secrets that masks stand for.
  const whole = split.secrets === null ? config : joinSecrets(config, split.secrets);
  if (!source.validate(whole)) throw refusal(ajvFindings(source.validate.errors ?? [], source.config_schema, 'config'));
  return split;
}

/** A mask that hides nothing is not a secret: somebody copied an answer. */
export function refuseMasks(split: SplitConfig, prefix: string): void {
  if (split.secrets === null) return;
  for (const [path, secret] of JSON.parse(split.secrets) as [string[], unknown][])
    if (secret === MASK || (Array.isArray(secret) && secret.includes(MASK)))
      throw refusal([
        {
          field: snakePath([prefix, ...path]),
          issue: 'must be the secret itself',
          hint: 'A mask keeps a secret only where one is stored already: a list of masks one of the same length, an element of a list one with the same other fields.',
        },
      ]);
}

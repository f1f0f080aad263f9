import { z } from 'zod';
import type { ApiError } from '../contract/api-error.js';
import { canonicalKeys, snakePath } from './casing.js';
import { refusal, zodFindings } from './issues.js';

/** A zod schema as JSON Schema, for requests; `meta({override})` replaces what zod would say. */
export function jsonSchema(schema: z.ZodType, io: 'input' | 'output' = 'input'): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: json }) => {
      const override = z.globalRegistry.get(zodSchema as unknown as z.ZodType)?.['override'] as object | undefined;
      if (override === undefined) return;
      const { description } = json;
      for (const key of Object.keys(json)) delete (json as Record<string, unknown>)[key];
      Object.assign(json, description === undefined ? {} : { description }, override);
    },
  });
  return rest;
}

export interface Validator<T> {
  /** @throws ApiError `invalid_request`. */
  parse(value: unknown): T;
}

/** Takes both casings, says what is wrong field by field. */
export function validator<S extends z.ZodType>(schema: S): Validator<z.output<S>> {
  const json = jsonSchema(schema);
  return {
    parse(value) {
      const { value: renamed, twice } = canonicalKeys(json, value);
      if (twice.length > 0) throw givenTwice(twice);
      const result = schema.safeParse(renamed);
      if (result.success) return result.data;
      throw refusal(zodFindings(result.error.issues, json));
    },
  };
}

export const givenTwice = (paths: readonly (readonly PropertyKey[])[], at: readonly string[] = []): ApiError =>
  refusal(paths.map((path) => ({ field: snakePath([...at, ...path]), issue: 'is given in both casings' })));

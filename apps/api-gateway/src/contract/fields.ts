import { z } from 'zod';

/** Names: 1 to 200 characters, none of them invisible to a reader of a list. */
export const name = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}]*$/u, 'must not contain control characters')
  .regex(/\S/, 'must not be blank')
  .meta({ description: 'Unique within the workspace.', example: 'prod_pg_orders_cdc' });

/** A reference in a body: what it points to is looked up, so its form is not judged. */
export const reference = (what: string, example: string) =>
  z.string().min(1).max(100).meta({ description: what, example });

/** Text in a query that has to be a whole number without sign, exponent or spaces. */
export const digits = (min: number, max: number, preset: number) =>
  z
    .union([
      z.int(),
      z
        .string()
        .regex(/^[0-9]{1,9}$/, `must be an integer from ${min} to ${max}`)
        .transform(Number),
    ])
    .pipe(z.int().min(min).max(max))
    .default(preset)
    .meta({ override: { type: 'integer', minimum: min, maximum: max, default: preset } });

export const limit = digits(1, 100, 50);
export const cursor = z.string().min(1).max(1000).optional().meta({ description: 'From `meta` of the page before.' });
export const paging = z.strictObject({ limit, cursor });

/** `true` or `false`, nothing else. */
export const flag = (description: string) =>
  z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .default(false)
    .meta({ override: { type: 'boolean', default: false }, description });

/** Ids in paths: a silly one is 404 like an unknown one, so any text passes here. */
export const pathId = (what: string) => z.strictObject({ id: z.string().meta({ description: what }) });

import { z } from 'zod';

/** Schemas that many answers are made of. */
export const time = z.iso.datetime().meta({ description: 'RFC 3339, UTC.', example: '2025-03-27T18:00:00Z' });

export const id = (prefix: string, what: string) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`))
    .meta({ description: what, example: `${prefix}_01j9k9z0a1b2c3d4e5f6g7h8j9` });

/** `{"data":{"id","type","attributes"}}` */
export const resource = <T extends string, A extends z.ZodType>(type: T, ofId: z.ZodType, attributes: A) =>
  z.object({ data: z.object({ id: ofId, type: z.literal(type), attributes }) });

export const page = z.object({
  limit: z.int(),
  cursor: z.string().nullable().meta({ description: 'Give it as `cursor` for the next page; null on the last.' }),
});

/** Lists of streams and what belongs to them: `meta.page`. */
export const pageOf = (item: z.ZodType) => z.object({ data: z.array(item), meta: z.object({ page }) });

/** Lists of bare camelCase objects: `meta.cursor`. */
export const bareListOf = (item: z.ZodType) =>
  z.object({ data: z.array(item), meta: z.object({ cursor: page.shape.cursor }) });

/** A finding of a preflight or a connection test. */
export const check = z.object({
  code: z.string(),
  severity: z.enum(['error', 'warning', 'info']),
  message: z.string(),
  fix: z.string().nullable().meta({ description: 'The exact SQL or setting; null where there is nothing to do.' }),
});

export const deletedBare = z.object({ id: z.string(), deleted: z.literal(true) });

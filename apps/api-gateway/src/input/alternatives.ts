import type { ErrorObject } from 'ajv';

const ALTERNATIVE = /^(.*)\/(?:oneOf|anyOf)\/\d+(?=\/)/;

interface Mismatch {
  /** Path of the alternative in the schema. */
  readonly alternative: string;
  readonly name: string;
  readonly constant: unknown;
}

/** An alternative that a fixed value of one of its keys rules out, or the lack of that key. */
function mismatch({ keyword, schemaPath, params, parentSchema }: ErrorObject): Mismatch | null {
  const alternative = ALTERNATIVE.exec(schemaPath)?.[0];
  if (alternative === undefined) return null;
  if (keyword === 'const') {
    const name = schemaPath.split('/').at(-2)!;
    return { alternative, name, constant: params['allowedValue'] };
  }
  const name = String(params['missingProperty']);
  const properties = (parentSchema as { properties?: Record<string, { const?: unknown }> } | undefined)?.properties;
  const constant = keyword === 'required' ? properties?.[name]?.const : undefined;
  return constant === undefined ? null : { alternative, name, constant };
}

/** Which value of which key tells alternatives apart, where none of them was meant. */
export interface Undecided {
  readonly instancePath: string;
  readonly name: string;
  readonly constants: readonly string[];
}

/**
 * Of alternatives that a key tells apart (`{"type":"hmac"}` or `{"type":"none"}`) the complaints of the one that was
 * meant: the others say nothing but that they were not.
 */
export function meant(errors: readonly ErrorObject[]): {
  readonly errors: readonly ErrorObject[];
  readonly undecided: readonly Undecided[];
} {
  const ruledOut = new Map<string, Mismatch>();
  for (const error of errors) {
    const found = mismatch(error);
    if (found) ruledOut.set(found.alternative, found);
  }
  const kept = errors.filter(({ schemaPath }) => !ruledOut.has(ALTERNATIVE.exec(schemaPath)?.[0] ?? ''));
  const undecided = errors
    .filter(({ keyword }) => keyword === 'oneOf' || keyword === 'anyOf')
    .flatMap(({ schemaPath, instancePath, schema }): Undecided[] => {
      const all = (schema as readonly unknown[]).map((_, i) => ruledOut.get(`${schemaPath}/${i}`));
      const first = all[0];
      if (!first || all.some((one) => one === undefined)) return [];
      return [{ instancePath, name: first.name, constants: all.map((one) => String(one!.constant)) }];
    });
  return { errors: kept, undecided };
}

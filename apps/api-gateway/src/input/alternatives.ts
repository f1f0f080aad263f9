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
 * Where the keys of one alternative are those that were given, and only what they hold is wrong, it was meant.
 * @returns the others beside it
 */
function withUnfitKeys(errors: readonly ErrorObject[]): ReadonlySet<string> {
  const unfit = new Set<string>();
  for (const { keyword, schemaPath, instancePath } of errors) {
    if (keyword !== 'oneOf' && keyword !== 'anyOf') continue;
    const fits = new Map<string, boolean>();
    for (const error of errors) {
      const alternative = ALTERNATIVE.exec(error.schemaPath)?.[0];
      if (alternative === undefined || alternative.slice(0, alternative.lastIndexOf('/')) !== schemaPath) continue;
      fits.set(alternative, (fits.get(alternative) ?? true) && error.instancePath !== instancePath);
    }
    if ([...fits.values()].includes(true)) for (const [alternative, fit] of fits) if (!fit) unfit.add(alternative);
  }
  return unfit;
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
  const unfit = withUnfitKeys(
    errors.filter(({ schemaPath }) => !ruledOut.has(ALTERNATIVE.exec(schemaPath)?.[0] ?? '')),
  );
  const kept = errors.filter(({ schemaPath }) => {
    const alternative = ALTERNATIVE.exec(schemaPath)?.[0] ?? '';
    return !ruledOut.has(alternative) && !unfit.has(alternative);
  });
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

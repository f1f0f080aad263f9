/** Both casings in: keys that a schema knows are taken in camelCase and snake_case and brought to the schema's own. */

type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const snake = (name: string): string => name.replace(/(?<=[a-z0-9])([A-Z])/g, '_$1').toLowerCase();

/** A path for people: dotted, in snake_case, short. */
export const snakePath = (path: readonly PropertyKey[]): string =>
  path.map((part) => snake(String(part)).slice(0, 100).toWellFormed()).join('.');

/** What a JSON Schema says of the object at hand, over all its alternatives. */
function propertiesOf(schema: unknown): Map<string, unknown[]> {
  const found = new Map<string, unknown[]>();
  const visit = (one: unknown): void => {
    if (!isObject(one)) return;
    for (const [name, of] of Object.entries(isObject(one['properties']) ? one['properties'] : {}))
      found.set(name, [...(found.get(name) ?? []), of]);
    for (const word of ['oneOf', 'anyOf', 'allOf'] as const)
      if (Array.isArray(one[word])) (one[word] as unknown[]).forEach(visit);
  };
  visit(schema);
  return found;
}

const itemsOf = (schema: unknown): unknown[] => {
  if (!isObject(schema)) return [];
  const alternatives = (['oneOf', 'anyOf', 'allOf'] as const).flatMap((word) =>
    Array.isArray(schema[word]) ? (schema[word] as unknown[]) : [],
  );
  return [...(isObject(schema['items']) ? [schema['items']] : []), ...alternatives.flatMap(itemsOf)];
};

/** The names that a schema knows at a path, for hints. */
export function knownKeys(schema: unknown, path: readonly PropertyKey[]): string[] {
  let at: unknown[] = [schema];
  for (const part of path)
    at = at.flatMap((one) => (typeof part === 'number' ? itemsOf(one) : (propertiesOf(one).get(String(part)) ?? [])));
  return [...new Set(at.flatMap((one) => [...propertiesOf(one).keys()]))];
}

export interface Renamed {
  readonly value: unknown;
  /** Keys that were given in both casings, as paths. */
  readonly twice: readonly (readonly PropertyKey[])[];
}

/** Renames keys to those of the schema, at every level that the schema describes; unknown ones stay as they are. */
export function canonicalKeys(schema: unknown, value: unknown): Renamed {
  const twice: PropertyKey[][] = [];
  const visit = (schemas: readonly unknown[], at: unknown, path: readonly PropertyKey[]): unknown => {
    if (Array.isArray(at)) {
      const items = schemas.flatMap(itemsOf);
      return items.length === 0 ? at : at.map((item, i) => visit(items, item, [...path, i]));
    }
    if (!isObject(at)) return at;
    const known = new Map<string, unknown[]>();
    for (const one of schemas)
      for (const [name, of] of propertiesOf(one)) known.set(name, [...(known.get(name) ?? []), ...of]);
    if (known.size === 0) return at;
    const bySnake = new Map([...known.keys()].map((name) => [snake(name), name]));
    const renamed = new Map<string, unknown>();
    for (const [key, inner] of Object.entries(at)) {
      const name = known.has(key) ? key : isCasing(key) ? (bySnake.get(snake(key)) ?? key) : key;
      if (renamed.has(name)) twice.push([...path, name]);
      renamed.set(name, visit(known.get(name) ?? [], inner, [...path, name]));
    }
    // Not by assignment: a key `__proto__` would become the prototype, and be lost.
    return Object.fromEntries(renamed);
  };
  return { value: visit([schema], value, []), twice };
}

/** `slotName` and `slot_name` are casings of a name; `SLOT_NAME` and `Slot_Name` are not. */
const isCasing = (key: string): boolean => /^[a-z][A-Za-z0-9]*$|^[a-z][a-z0-9_]*$/.test(key);

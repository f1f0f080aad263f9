/** Requests made from an OpenAPI document: mostly what its schemas allow, partly what they do not. */
import fc from 'fast-check';

export type Schema = Readonly<Record<string, unknown>> | boolean;

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema: Schema;
    readonly required: boolean;
  }[];
  readonly body: Schema | null;
  /** Status → schema of its JSON body, `null` where none is documented. */
  readonly answers: ReadonlyMap<string, Schema | null>;
}

export interface Request {
  readonly path: string;
  readonly query: string;
  readonly body: string | undefined;
}

type Json = Record<string, unknown>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});

/** Those that the gateway answers itself: what has servers of its own is not here. */
export function operations(document: Json): Operation[] {
  const found: Operation[] = [];
  const here = Object.entries(record(document['paths'])).filter(([, item]) => !('servers' in record(item)));
  for (const [path, item] of here)
    for (const [method, described] of Object.entries(record(item))) {
      if (!['get', 'post', 'put', 'patch', 'delete'].includes(method)) continue;
      const operation = record(described);
      const content = (of: unknown) =>
        record(record(record(of)['content'])['application/json'])['schema'] as Schema | undefined;
      const listed = [
        ...((record(item)['parameters'] as Json[]) ?? []),
        ...((operation['parameters'] as Json[]) ?? []),
      ].map((p) => record(resolve(document, p)));
      found.push({
        method: method.toUpperCase(),
        path,
        parameters: listed.map((p) => ({
          name: String(p['name']),
          in: String(p['in']),
          schema: (p['schema'] ?? true) as Schema,
          required: p['required'] === true,
        })),
        body: content(resolve(document, operation['requestBody'])) ?? null,
        answers: new Map(
          Object.entries(record(operation['responses'])).map(([status, answer]) => [
            status,
            content(resolve(document, answer)) ?? null,
          ]),
        ),
      });
    }
  return found;
}

function resolve(document: Json, value: unknown): unknown {
  const reference = record(value)['$ref'];
  if (typeof reference !== 'string') return value;
  return reference
    .slice(2)
    .split('/')
    .reduce<unknown>((at, part) => record(at)[part.replaceAll('~1', '/').replaceAll('~0', '~')], document);
}

/** Text as users and attackers write it. */
const text = fc.oneof(
  { weight: 5, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '',
      '\0',
      '__proto__',
      'constructor',
      "'; DROP TABLE streams; --",
      '../../etc/passwd',
      '%00',
      '\ud800',
      'x'.repeat(10_000),
      '{{7*7}}',
      '-1',
      '1e309',
      'null',
      'true',
      '0x10',
      '\u202e',
      'str_01jzzzzzzzzzzzzzzzzzzzzzzz',
    ),
  },
);
const anything: fc.Arbitrary<unknown> = fc.oneof(
  text,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.jsonValue({ maxDepth: 3 }),
  fc.array(text, { maxLength: 3 }),
);

/** A value for `schema`; one in eight is anything at all. */
function valueFor(document: Json, given: Schema | undefined, depth = 0): fc.Arbitrary<unknown> {
  const schema = record(resolve(document, given));
  if (depth > 5 || given === undefined || typeof given === 'boolean') return anything;
  const fitting = (): fc.Arbitrary<unknown> => {
    if ('const' in schema) return fc.constant(schema['const']);
    if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
    for (const word of ['oneOf', 'anyOf'])
      if (Array.isArray(schema[word]))
        return fc.oneof(...(schema[word] as Schema[]).map((one) => valueFor(document, one, depth + 1)));
    const type = Array.isArray(schema['type'])
      ? (schema['type'] as string[])[0]
      : (schema['type'] as string | undefined);
    switch (type) {
      case 'integer':
        return fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer(), fc.maxSafeInteger());
      case 'number':
        return fc.double({ noNaN: true });
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array':
        return fc.array(valueFor(document, schema['items'] as Schema, depth + 1), { maxLength: 4 });
      case 'object': {
        const properties = Object.entries(record(schema['properties']));
        const model = Object.fromEntries(
          properties.map(([name, of]) => [name, valueFor(document, of as Schema, depth + 1)]),
        );
        const required = ((schema['required'] as string[]) ?? []).filter((name) => name in model);
        return fc.oneof(
          { weight: 6, arbitrary: fc.record(model, { requiredKeys: required }) },
          { weight: 1, arbitrary: fc.record(model, { requiredKeys: [] }) },
          {
            weight: 1,
            arbitrary: fc
              .tuple(fc.record(model, { requiredKeys: required }), text, anything)
              .map(([value, key, extra]) => ({ ...value, [key]: extra })),
          },
        );
      }
      default:
        return text;
    }
  };
  return fc.oneof({ weight: 7, arbitrary: fitting() }, { weight: 1, arbitrary: anything });
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
/** Percent-encoding that also takes lone surrogates. */
const encode = (value: string): string => encodeURIComponent(value.toWellFormed());

/** @param known real values for path parameters, so that more than 404 is met. */
export function requestFor(document: Json, operation: Operation, known: readonly string[]): fc.Arbitrary<Request> {
  const inPath = operation.parameters.filter((p) => p.in === 'path');
  const inQuery = operation.parameters.filter((p) => p.in === 'query');
  const path = fc
    .tuple(
      ...inPath.map(() =>
        fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: text }),
      ),
    )
    .map((values) =>
      inPath.reduce((built, p, i) => built.replace(`{${p.name}}`, encode(String(values[i]) || 'x')), operation.path),
    );
  const query = fc
    .tuple(...inQuery.map((p) => fc.option(valueFor(document, p.schema), { freq: p.required ? 20 : 2 })))
    .map((values) =>
      inQuery
        .flatMap((p, i) => (values[i] === null ? [] : [`${encode(p.name)}=${encode(asText(values[i]))}`]))
        .join('&'),
    );
  const body =
    operation.body === null
      ? fc.constant(undefined)
      : fc.oneof(
          { weight: 12, arbitrary: valueFor(document, operation.body).map((value) => JSON.stringify(value) ?? 'null') },
          { weight: 1, arbitrary: text },
        );
  return fc.record({ path, query: query.map((q) => (q ? `?${q}` : '')), body });
}

import { Ajv, type Options } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { DoesNotFit, mustBeJson } from '../record-text.js';
import { SchemaUnreadable } from './avro.js';
import { tooDeep } from './bytes-reader.js';
import { boundedPatterns, StepBudget } from './pattern.js';
import { Identities, withOwnKeywords } from './schema-keywords.js';

/** Steps that patterns may take for a value, and for each of its bytes more: some ms. */
const STEPS = { least: 1_000_000, byte: 100 } as const;
/** So often may a schema be named for a value, and for each of its bytes more. */
const NAMED = { least: 1_000_000, byte: 20 } as const;

type JsonSchema = Record<string, unknown>;

/** A schema that another one names. */
export interface SchemaText {
  readonly name: string;
  readonly text: string;
}

function newest(draft: string, patterns: StepBudget): Ajv {
  const options: Options = {
    ...{ strict: false, validateFormats: false, logger: false },
    code: { regExp: boundedPatterns(patterns) },
  };
  if (draft.includes('2020-12')) return new Ajv2020(options);
  return draft.includes('2019-09') ? new Ajv2019(options) : new Ajv(options);
}

const withoutDraft = (text: string): JsonSchema => {
  const { $schema: _, ...schema } = JSON.parse(text) as JsonSchema;
  return schema;
};

const idOf = ({ $id }: JsonSchema): string => (typeof $id === 'string' ? $id : '');

/**
 * Under each address at which it may be looked for: its `$id`, its name, and its name next to whoever names it. What has an
 * address already keeps it, the main schema first.
 */
function addReferences(ajv: Ajv, mainId: string, references: readonly SchemaText[]): void {
  const address = (base: string, name: string) => ajv.opts.uriResolver.resolve(base, name.replace(/#\/?$/, ''));
  const isTaken = (at: string) => ajv.schemas[at] !== undefined || ajv.refs[at] !== undefined;
  const add = (schema: JsonSchema, at: string) => {
    if (!isTaken(at)) ajv.addSchema(schema, at);
  };
  const added = references.map(({ name, text }) => {
    const { $id, ...schema } = withoutDraft(text);
    const id = address(address(mainId, name), idOf({ $id }));
    if (isTaken(id)) return { name, id, schema };
    const named = { $id: id, ...schema };
    add(named, id);
    return { name, id, schema: named };
  });
  for (const { name, schema } of added) add(schema, address('', name));
  for (const base of [mainId, ...added.map(({ id }) => id)])
    for (const { name, schema } of added) add(schema, address(base, name));
}

/** What a schema says about the text that came; the text itself is kept. @throws SchemaUnreadable */
export function jsonSchemaReader(text: string, references: readonly SchemaText[] = []): (value: Buffer) => string {
  let validate: (value: unknown) => unknown;
  const [patterns, named] = [new StepBudget(), new StepBudget()];
  const identities = new Identities();
  const naming = (bytes: number) => named.fill(NAMED.least + NAMED.byte * bytes);
  try {
    // Schemas are checked by a schema, too.
    naming(references.reduce((sum, one) => sum + one.text.length, text.length));
    const { $schema: draft } = JSON.parse(text) as JsonSchema;
    const ajv = withOwnKeywords(newest(typeof draft === 'string' ? draft : '', patterns), named, identities);
    const schema = withoutDraft(text);
    ajv.addSchema(schema);
    addReferences(ajv, idOf(schema), references);
    validate = ajv.compile(schema);
  } catch {
    throw new SchemaUnreadable('the JSON Schema can not be understood');
  } finally {
    identities.clear();
  }
  return (value) => {
    mustBeJson(value);
    const json = value.toString();
    patterns.fill(STEPS.least + STEPS.byte * value.length);
    naming(value.length);
    try {
      if (validate(JSON.parse(json)) !== true) throw new DoesNotFit('The value does not fit its JSON Schema.');
      return json;
    } catch (error) {
      // The stack: a schema that names itself goes as deep as the value does.
      throw error instanceof RangeError ? tooDeep() : error;
    } finally {
      identities.clear();
    }
  };
}

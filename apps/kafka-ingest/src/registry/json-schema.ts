import { Ajv, type Options } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { DoesNotFit, mustBeJson } from '../record-text.js';
import { SchemaUnreadable } from './avro.js';
import { boundedPatterns, PatternBudget } from './pattern.js';

/** Steps that patterns may take for a value, and for each of its bytes more: some ms. */
const STEPS = { least: 1_000_000, byte: 100 } as const;

const decimal = (value: number): { readonly digits: bigint; readonly power: number } => {
  const [written = '0', power = '0'] = value.toExponential().split('e');
  const [whole = '0', fraction = ''] = written.split('.');
  return { digits: BigInt(whole + fraction), power: Number(power) - fraction.length };
};

/** As the numbers are written: 0.07 is seven times 0.01, which the doubles next to them are not. */
function isMultiple(of: number, value: number): boolean {
  const [a, b] = [decimal(value), decimal(of)];
  const least = Math.min(a.power, b.power);
  return (a.digits * 10n ** BigInt(a.power - least)) % (b.digits * 10n ** BigInt(b.power - least)) === 0n;
}

function newest(draft: string, budget: PatternBudget): Ajv {
  const options: Options = {
    ...{ strict: false, validateFormats: false, addUsedSchema: false },
    code: { regExp: boundedPatterns(budget) },
  };
  if (draft.includes('2020-12')) return new Ajv2020(options);
  return draft.includes('2019-09') ? new Ajv2019(options) : new Ajv(options);
}

const validatorFor = (draft: string, budget: PatternBudget): Ajv =>
  newest(draft, budget).removeKeyword('multipleOf').addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    validate: isMultiple,
  });

/** What a schema says about the text that came; the text itself is kept. @throws SchemaUnreadable */
export function jsonSchemaReader(
  text: string,
  references: readonly { readonly name: string; readonly text: string }[] = [],
): (value: Buffer) => string {
  let validate: (value: unknown) => unknown;
  const budget = new PatternBudget();
  try {
    const { $schema: draft, ...schema } = JSON.parse(text) as Record<string, unknown>;
    const ajv = validatorFor(typeof draft === 'string' ? draft : '', budget);
    for (const one of references) {
      const { $schema: _, ...referred } = JSON.parse(one.text) as Record<string, unknown>;
      ajv.addSchema(referred, one.name);
    }
    validate = ajv.compile(schema);
  } catch {
    throw new SchemaUnreadable('the JSON Schema can not be understood');
  }
  return (value) => {
    mustBeJson(value);
    const json = value.toString();
    budget.fill(STEPS.least + STEPS.byte * value.length);
    if (validate(JSON.parse(json)) !== true) throw new DoesNotFit('The value does not fit its JSON Schema.');
    return json;
  };
}

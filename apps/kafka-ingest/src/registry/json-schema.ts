import { Ajv, type Options } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { DoesNotFit, mustBeJson } from '../record-text.js';
import { SchemaUnreadable } from './avro.js';

/** A pattern that could keep a worker busy for ever is not checked. Invariant 6. */
const mayBeSlow = (pattern: string): boolean =>
  pattern.length > 500 || /[)\]][*+{]|\\\d/.test(pattern) || (pattern.match(/[*+{]/g)?.length ?? 0) > 3;

const regExp = Object.assign(
  (pattern: string, flags: string) => (mayBeSlow(pattern) ? { test: () => true } : new RegExp(pattern, flags)),
  { code: 'new RegExp' },
);

const OPTIONS: Options = {
  strict: false,
  validateFormats: false,
  addUsedSchema: false,
  code: { regExp },
};

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

function newest(draft: string): Ajv {
  if (draft.includes('2020-12')) return new Ajv2020(OPTIONS);
  return draft.includes('2019-09') ? new Ajv2019(OPTIONS) : new Ajv(OPTIONS);
}

const validatorFor = (draft: string): Ajv =>
  newest(draft).removeKeyword('multipleOf').addKeyword({
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
  try {
    const { $schema: draft, ...schema } = JSON.parse(text) as Record<string, unknown>;
    const ajv = validatorFor(typeof draft === 'string' ? draft : '');
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
    if (validate(JSON.parse(json)) !== true) throw new DoesNotFit('The value does not fit its JSON Schema.');
    return json;
  };
}

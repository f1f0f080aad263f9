import { _, type Ajv, type CodeKeywordDefinition } from 'ajv';
import { DoesNotFit } from '../record-text.js';
import type { StepBudget } from './pattern.js';

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

/** A number for each different part of a value, so that equal ones are found without comparing every pair. Invariant 6. */
export class Identities {
  readonly #ids = new Map<string, number>();
  /** A part may be asked for on each level that it lies under. */
  readonly #known = new Map<object, number>();

  /** At the begin of each value. */
  clear(): void {
    this.#ids.clear();
    this.#known.clear();
  }

  differ(items: readonly unknown[]): boolean {
    return new Set(items.map((item) => this.#of(item))).size === items.length;
  }

  #of(part: unknown): number {
    if (typeof part !== 'object' || part === null)
      return this.#named(typeof part === 'string' ? JSON.stringify(part) : String(part));
    const known = this.#known.get(part);
    if (known !== undefined) return known;
    const id = this.#named(Array.isArray(part) ? `[${part.map((one) => this.#of(one)).join()}]` : this.#object(part));
    this.#known.set(part, id);
    return id;
  }

  /** Whatever the order of its fields. */
  #object(part: object): string {
    const fields = Object.entries(part).map(([name, value]) => `${JSON.stringify(name)}:${this.#of(value)}`);
    return `{${fields.sort().join()}}`;
  }

  #named(text: string): number {
    let id = this.#ids.get(text);
    if (id === undefined) this.#ids.set(text, (id = this.#ids.size));
    return id;
  }
}

/** Keywords that name a schema, and so may go round; each draft has its own. */
const GOING_ROUND = ['$ref', '$recursiveRef', '$dynamicRef'] as const;

/** Schemas that name themselves twice have twice as much to check on each level of a value. Invariant 6. */
function bounded(ajv: Ajv, keyword: string, budget: StepBudget): void {
  const definition = ajv.getKeyword(keyword);
  if (typeof definition !== 'object' || !('code' in definition)) return;
  const step = () => {
    if (!budget.spend(1)) throw new DoesNotFit('To check the value against its JSON Schema takes too long.');
  };
  const counted: CodeKeywordDefinition = {
    ...definition,
    keyword,
    code(context, type) {
      context.gen.code(_`${context.gen.scopeValue('func', { ref: step })}()`);
      definition.code(context, type);
    },
  };
  ajv.removeKeyword(keyword).addKeyword(counted);
}

/** Keywords that Ajv has otherwise, or takes too long for. @param budget how often a schema may be named for one value */
export function withOwnKeywords(ajv: Ajv, budget: StepBudget, identities: Identities): Ajv {
  for (const keyword of GOING_ROUND) bounded(ajv, keyword, budget);
  return ajv
    .removeKeyword('multipleOf')
    .addKeyword({ keyword: 'multipleOf', type: 'number', schemaType: 'number', validate: isMultiple })
    .removeKeyword('uniqueItems')
    .addKeyword({
      ...{ keyword: 'uniqueItems', type: 'array', schemaType: 'boolean' },
      validate: (wanted: boolean, items: readonly unknown[]) => !wanted || identities.differ(items),
    });
}

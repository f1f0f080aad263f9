import type { ErrorObject } from 'ajv';
import type { z } from 'zod';
import { ApiError, inWords, type Detail } from '../contract/api-error.js';
import { meant } from './alternatives.js';
import { knownKeys, snake, snakePath } from './casing.js';
import { unknownKeyHint } from './nearest.js';

/** More would only be noise, and a body could be made to give a million. */
const MAX_DETAILS = 20;

interface Finding extends Detail {
  readonly hint?: string;
}

const shown = (text: string): string =>
  (text.length > 60 ? `${text.slice(0, 60)}…` : text).replace(/\p{Cc}/gu, ' ').toWellFormed();

/** 400 from what is wrong, message and hint from the first. Values are never repeated: one of them may be a secret. */
export function refusal(findings: readonly Finding[]): ApiError {
  const details = findings.slice(0, MAX_DETAILS).map(({ field, issue }) => ({ field, issue }));
  const first = findings[0];
  return new ApiError('invalid_request', {
    message: first && `${inWords(first)}.`,
    hint: findings.find(({ hint }) => hint !== undefined)?.hint,
    details,
  });
}

/** @param schema the same as JSON Schema, for the names that it knows. */
export function zodFindings(
  issues: readonly z.core.$ZodIssue[],
  schema: unknown,
  at: readonly string[] = [],
): Finding[] {
  return issues.flatMap((issue): Finding[] => {
    const path = [...at, ...issue.path];
    const field = snakePath(path);
    switch (issue.code) {
      case 'unrecognized_keys':
        return issue.keys.map((key) => ({
          field: snakePath([...path, shown(key)]),
          issue: 'is not a known key',
          hint: unknownKeyHint(key, knownKeys(schema, issue.path)),
        }));
      case 'invalid_type':
        return [
          {
            field,
            issue: /received undefined/.test(issue.message) ? 'is required' : `must be ${article(issue.expected)}`,
          },
        ];
      case 'invalid_value':
        return [
          issue.message.startsWith('must') ? { field, issue: issue.message } : oneOf(field, issue.values.map(String)),
        ];
      case 'invalid_union':
        return unionFindings(issue, field, schema, path);
      case 'too_big':
        return [{ field, issue: `must be ${unit(issue.origin, 'at most', Number(issue.maximum))}` }];
      case 'too_small':
        return [{ field, issue: `must be ${unit(issue.origin, 'at least', Number(issue.minimum))}` }];
      case 'invalid_format':
        return [{ field, issue: issue.message.startsWith('must') ? issue.message : 'is not in the documented form' }];
      default:
        return [{ field, issue: issue.message.startsWith('must') ? issue.message : 'is not as documented' }];
    }
  });
}

function unionFindings(
  issue: z.core.$ZodIssueInvalidUnion,
  field: string,
  schema: unknown,
  path: readonly PropertyKey[],
): Finding[] {
  const options = (issue as { options?: readonly unknown[] }).options;
  if (options !== undefined) return [oneOf(field, options.map(String))];
  // The alternative that came nearest says the most.
  const deepest = [...issue.errors].sort((a, b) => reach(b) - reach(a))[0];
  if (deepest === undefined || deepest.length === 0) return [{ field, issue: 'is not as documented' }];
  const say = deepest.find((one) => one.message.startsWith('must'));
  return say ? [{ field, issue: say.message }] : zodFindings(deepest, schema, path.map(String));
}

const reach = (issues: readonly z.core.$ZodIssue[]): number =>
  Math.max(
    0,
    ...issues.map((issue) => issue.path.length + (issue.code === 'invalid_type' && issue.path.length === 0 ? -1 : 0)),
  );

const oneOf = (field: string, values: readonly string[]): Finding => ({
  field,
  issue: `must be ${values.length > 1 ? 'one of ' : ''}${values.join(', ')}`,
});

const article = (type: string): string =>
  ({
    int: 'an integer',
    object: 'an object',
    array: 'an array',
    record: 'an object',
    boolean: 'true or false',
    null: 'null',
  })[type] ?? `a ${type}`;

const unit = (origin: string, bound: string, value: number): string =>
  origin === 'string'
    ? `${bound} ${value} character${value === 1 ? '' : 's'} long`
    : origin === 'array'
      ? `a list of ${bound} ${value}`
      : `${bound} ${value}`;

/** The same for the config of a stream, which is checked by JSON Schema. @param prefix where the config lies. */
export function ajvFindings(all: readonly ErrorObject[], schema: unknown, prefix: string): Finding[] {
  const { errors, undecided } = meant(all);
  const none = undecided.map(({ instancePath, name, constants }) =>
    oneOf(snakePath([prefix, ...partsOf(instancePath).map(shown), name]), constants),
  );
  return [...none, ...complaints(none.length > 0 ? errors.filter(isPlain) : errors, schema, prefix)];
}

const isPlain = ({ keyword }: ErrorObject): boolean => !['oneOf', 'anyOf', 'if', 'not'].includes(keyword);

const partsOf = (instancePath: string): string[] =>
  instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

function complaints(errors: readonly ErrorObject[], schema: unknown, prefix: string): Finding[] {
  // An alternative's own complaints come with "must match one of": where there is more to say than that, say it.
  const telling = errors.filter(isPlain);
  return (telling.length > 0 ? telling : errors).map((error): Finding => {
    const path = partsOf(error.instancePath);
    const params = error.params as Record<string, unknown>;
    const field = snakePath([prefix, ...path.map(shown)]);
    if (error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties') {
      const key = String(params['additionalProperty'] ?? params['unevaluatedProperty']);
      const steps = path.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
      return {
        field: `${field}.${snake(shown(key))}`,
        issue: 'is not a known key',
        hint: unknownKeyHint(key, knownKeys(schema, steps)),
      };
    }
    if (error.keyword === 'required')
      return { field: `${field}.${snake(String(params['missingProperty']))}`, issue: 'is required' };
    if (error.keyword === 'enum') return oneOf(field, (params['allowedValues'] as unknown[]).map(String));
    if (error.keyword === 'pattern') return { field, issue: 'is not in the documented form', hint: described(error) };
    return { field, issue: error.message ?? 'is not as documented' };
  });
}

/** What the announced schema says about the key, where it says something. */
function described(error: ErrorObject): string | undefined {
  const description = (error.parentSchema as { description?: unknown } | undefined)?.description;
  return typeof description === 'string' ? description : undefined;
}

import type { LogTopics } from '@planasonix/core';

/** What a topic is named after. */
export interface Named {
  readonly stream: string;
  /** Of the event: `schema.table`, quoted as in SQL; a topic; a name. */
  readonly subject: string;
}

export const PLACEHOLDERS = ['stream', 'schema', 'table', 'topic'] as const;
type Placeholder = (typeof PLACEHOLDERS)[number];

const PLACEHOLDER = /\{(stream|schema|table|topic)\}/g;
/** Kafka's own limits of a name. */
const FORBIDDEN = /[^A-Za-z0-9._-]/g;
const LONGEST = 249;
const QUOTED = /^(?:"((?:[^"]|"")*)"|([^.]*))\.(?:"((?:[^"]|"")*)"|(.*))$/s;

/** `public."Große Tabelle"` → its two parts, without quotes; what has no dot is a table without a schema. */
function partsOf(subject: string): { readonly schema: string; readonly table: string } {
  const found = QUOTED.exec(subject);
  if (!found) return { schema: '', table: subject };
  const bare = (quoted: string | undefined, plain: string | undefined) => quoted?.replaceAll('""', '"') ?? plain ?? '';
  return { schema: bare(found[1], found[2]), table: bare(found[3], found[4]) };
}

const allowed = (text: string): string => text.replace(FORBIDDEN, '_') || '_';

/** The topic that an event goes to. Characters that Kafka forbids become `_`. */
export function topicOf(template: string, { stream, subject }: Named): string {
  const values: Record<Placeholder, string> = { stream, topic: subject, ...partsOf(subject) };
  const name = allowed(template.replace(PLACEHOLDER, (_, placeholder: Placeholder) => allowed(values[placeholder])));
  return name === '.' || name === '..' ? name.replaceAll('.', '_') : name.slice(0, LONGEST);
}

/** The one topic of a stream; `null` where it depends on the event. */
export const topicOfAll = (template: string, stream: string): string | null =>
  /\{(schema|table|topic)\}/.test(template) ? null : topicOf(template, { stream, subject: '' });

/** All of a stream's. */
export function topicNames(template: string, stream: string): Omit<LogTopics, 'clusterId'> {
  const literals = template.split(/\{(?:schema|table|topic)\}/).map((text) => text.replaceAll('{stream}', stream));
  return {
    only: topicOfAll(template, stream),
    of: (subject) => topicOf(template, { stream, subject }),
    may: (topic) =>
      fills(
        literals.map((text) => text.replace(FORBIDDEN, '_')),
        topic,
      ),
  };
}

/** Whether something stands between each two of the literals, and nothing around them. In one pass: both are the user's. */
function fills([first = '', ...others]: readonly string[], name: string): boolean {
  const last = others.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  for (const literal of others) {
    const found = name.indexOf(literal, at + 1);
    if (found < 0) return false;
    at = found + literal.length;
  }
  return name.length - last.length > at;
}

/** `null`: it may stand. */
export function templateProblem(template: string): string | null {
  const unknown = /\{[^}]*\}?/g;
  for (const [found] of template.matchAll(unknown))
    if (!PLACEHOLDERS.some((name) => found === `{${name}}`))
      return `has the placeholder ${found}; known are ${PLACEHOLDERS.map((name) => `{${name}}`).join(', ')}`;
  return template.replace(PLACEHOLDER, 'x').length > LONGEST ? `is longer than ${LONGEST} characters` : null;
}

/**
 * Takes a JSON object apart without reading its values: member name → the value's own text. `JSON.parse` would round
 * numbers of more than 17 digits.
 *
 * @throws when the text is no JSON object.
 */
export function membersOf(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = skipSpace(text, 0);
  if (text[at] !== '{') throw new Error('not a JSON object');
  at = skipSpace(text, at + 1);
  if (text[at] === '}') return members;
  for (;;) {
    const nameEnd = endOfValue(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    at = skipSpace(text, nameEnd);
    if (text[at] !== ':') throw new Error(`":" expected at ${at}`);
    at = skipSpace(text, at + 1);
    const valueEnd = endOfValue(text, at);
    members.set(name, text.slice(at, valueEnd));
    at = skipSpace(text, valueEnd);
    if (text[at] === '}') return members;
    if (text[at] !== ',') throw new Error(`"," expected at ${at}`);
    at = skipSpace(text, at + 1);
  }
}

/** The other way round: an object's text from its members' texts. */
export const objectOf = (members: ReadonlyMap<string, string>): string =>
  `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at++;
  return at;
}

/** Place after the value that starts at `from`. */
function endOfValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  for (; at < text.length; at++) {
    const sign = text[at];
    if (sign === '"') {
      at = endOfString(text, at) - 1;
      if (depth === 0) return at + 1;
    } else if (sign === '{' || sign === '[') depth++;
    else if (sign === '}' || sign === ']') {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (sign === ',' || sign === ' ' || sign === '\n')) return at;
  }
  if (depth > 0) throw new Error('JSON ends too early');
  return at;
}

function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text[at - 1 - escapes] === '\\') escapes++;
    if (escapes % 2 === 0) return at + 1;
  }
  throw new Error('JSON ends inside a string');
}

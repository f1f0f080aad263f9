/**
 * Looks at a condition that a user wrote before it is put into a query, in parentheses of ours: whatever it says, it has
 * to stay inside them. So parentheses and quotes have to close, and what could hide one of them (comments, backslashes
 * whose meaning is a setting of the server, dollar quotes) is not taken. What it may
 * ask for, `condition-reach.ts` says; what it means, the server judges.
 */

/** Characters that a name goes on with: before a quote they make `E` the end of a name, and no sign of escapes. */
const NAME = /[A-Za-z0-9_\u0080-\uffff]/;

/** @returns the place behind the string that begins at `at`, or what is wrong with it. */
export function afterString(text: string, at: number): number | string {
  const escapes = /[eE]/.test(text[at - 1] ?? '') && !NAME.test(text[at - 2] ?? ' ');
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '\\') {
      if (!escapes) return "has a backslash in a plain string; write E'…', with two of them for one";
      i++;
    } else if (text[i] === "'") {
      if (text[i + 1] !== "'") return i + 1;
      i++;
    }
  }
  return 'has a string that does not end';
}

/** @returns the place behind the quoted name that begins at `at`, or what is wrong with it. */
export const afterName = (text: string, at: number): number | string => {
  const end = text.indexOf('"', at + 1);
  return end < 0 ? 'has a quoted name that does not end' : end + 1;
};

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']' };

/** What is wrong with it, as `has …`; `null`: nothing that could break out. */
export function conditionProblem(text: string): string | null {
  const open: string[] = [];
  for (let i = 0; i < text.length;) {
    const char = text[i]!;
    const two = text.slice(i, i + 2);
    if (char === "'" || char === '"') {
      const next = char === "'" ? afterString(text, i) : afterName(text, i);
      if (typeof next === 'string') return next;
      i = next;
      continue;
    }
    if (two === '--' || two === '/*') return 'has a comment';
    if (char === ';') return 'has a semicolon';
    if (char === '$') return "has a $; write strings in '…' and no parameters";
    if (char === '\\') return 'has a backslash outside a string';
    if (char === '\0') return 'has a NUL';
    const closing = CLOSING[char];
    if (closing !== undefined) open.push(closing);
    else if ((char === ')' || char === ']') && open.pop() !== char) return `has a ${char} that closes nothing`;
    i++;
  }
  return open.length === 0 ? null : `lacks a ${open.at(-1)}`;
}

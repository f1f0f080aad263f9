/** Characters of a foreign text at the most: it stands in answers, rows and log lines. Invariant 6. */
const LONGEST = 300;

/** What a server or a driver says, as it may be passed on: one line, no escape sequences, bounded. */
export function toldText(text: string): string {
  const begin = text.slice(0, 4 * LONGEST);
  const line = begin.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  // Half a character at the end is none.
  const told = line.length > LONGEST || begin.length < text.length ? `${line.slice(0, LONGEST)}…` : line;
  return told.toWellFormed();
}

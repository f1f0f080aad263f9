/** Characters that a topic may have, and what a pattern may say about them. */
const ATOM = String.raw`(?:[A-Za-z0-9_-]|\\\.|\.|\[\^?[A-Za-z0-9_.-]+\])`;
const PATTERN = new RegExp(`^\\^?(?:${ATOM}[*+?]?|\\|)+\\$?$`);
/** Each one is a loop in the next one: a pattern must not keep a worker busy for ever. Invariant 6. */
const MOST_REPEATS = 4;

/**
 * A regular expression for whole names, without groups: letters, `.`, `\.`, classes, `*`, `+`, `?`, and `|` between
 * whole patterns. `null` where it is something else.
 */
export function topicPattern(text: string): RegExp | null {
  if (!PATTERN.test(text) || (text.match(/[*+?]/g)?.length ?? 0) > MOST_REPEATS) return null;
  try {
    return new RegExp(`^(?:${text.replace(/^\^|\$$/g, '')})$`);
  } catch {
    return null;
  }
}

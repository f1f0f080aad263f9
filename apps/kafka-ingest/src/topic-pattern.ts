/** Characters that a topic may have, and what a pattern may say about them. */
const ATOM = String.raw`(?:[A-Za-z0-9_-]|\\\.|\.|\[\^?[A-Za-z0-9_.-]+\])`;
const PATTERN = new RegExp(`^\\^?(?:${ATOM}[*+?]?|\\|)+\\$?$`);
const STEP = new RegExp(`(${ATOM})([*+?]?)`, 'g');
const CHARS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-'];
/** Names of topics of which it is kept whether they fit: all of them are looked at each few seconds. Invariant 6. */
const REMEMBERED = 100_000;

export interface TopicPattern {
  test(name: string): boolean;
}

/** One character of a name, or as many as `repeat` says. */
interface Step {
  readonly chars: ReadonlySet<string>;
  readonly repeat: string;
}

/**
 * A regular expression for whole names, without groups: letters, `.`, `\.`, classes, `*`, `+`, `?`, and `|` between
 * whole patterns. `null` where it is something else.
 */
export function topicPattern(text: string): TopicPattern | null {
  if (!PATTERN.test(text)) return null;
  try {
    const ways = text
      .replace(/^\^|\$$/g, '')
      .split('|')
      .map(stepsOf);
    return remembering((name) => ways.some((steps) => matches(steps, name)));
  } catch {
    // A class such as [z-a].
    return null;
  }
}

function remembering(fits: (name: string) => boolean): TopicPattern {
  const known = new Map<string, boolean>();
  return {
    test: (name) => {
      const before = known.get(name);
      if (before !== undefined) return before;
      const found = fits(name);
      if (known.size >= REMEMBERED) known.clear();
      known.set(name, found);
      return found;
    },
  };
}

function stepsOf(way: string): readonly Step[] {
  return [...way.matchAll(STEP)].map(([, atom, repeat]) => {
    const one = new RegExp(`^${atom}$`);
    return { chars: new Set(CHARS.filter((char) => one.test(char))), repeat: repeat! };
  });
}

/**
 * Holds all places of the pattern at which it may be after each character. An engine that goes back over all ways to
 * match takes seconds for one name of `a*a*a*a*b`, and a worker serves many. Invariant 6.
 */
function matches(steps: readonly Step[], name: string): boolean {
  let places = new Set<number>();
  const enter = (to: Set<number>, at: number) => {
    for (; !to.has(at); at++) {
      to.add(at);
      const repeat = steps[at]?.repeat;
      if (repeat !== '*' && repeat !== '?') return;
    }
  };
  enter(places, 0);
  for (const char of name) {
    const next = new Set<number>();
    for (const at of places) {
      const step = steps[at];
      if (step?.chars.has(char) !== true) continue;
      if (step.repeat === '*' || step.repeat === '+') enter(next, at);
      enter(next, at + 1);
    }
    if (next.size === 0) return false;
    places = next;
  }
  return places.has(steps.length);
}

/** How much work a regular expression may be: at most (length of the text) ^ `loops` × `factor` steps. */
export interface PatternCost {
  readonly loops: number;
  readonly factor: number;
}

const TOKEN =
  /\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]|\((?:\?(?:[:=!]|<[=!]|<\w+>))?|\)|\{\d+(?:,\d*)?\}\??|[*+?]\??|[\s\S]/g;
const REPEAT = /^(?:[*+?]|\{\d)/;
const LONGEST = 500;

/** Ways through one group: the ones of its parts multiply, its alternatives add up. */
interface Group {
  ways: number;
  alternatives: number;
}

/**
 * A bound that needs no run: whoever goes back tries every way, and a loop has as many as the text is long. `null`: no
 * such bound is known, as for a group that repeats, where the ways multiply with each turn, or for a back reference.
 */
export function patternCost(pattern: string): PatternCost | null {
  if (pattern.length > LONGEST) return null;
  const tokens = pattern.match(TOKEN) ?? [];
  const groups: Group[] = [{ ways: 1, alternatives: 1 }];
  let [loops, size] = [0, pattern.length];
  for (const [i, token] of tokens.entries()) {
    const group = groups.at(-1)!;
    if (/^\\[\dk]/.test(token)) return null;
    if (token.startsWith('(')) groups.push({ ways: 1, alternatives: 1 });
    else if (token === '|') group.alternatives++;
    else if (token === ')') {
      const outer = groups.at(-2);
      if (outer === undefined) return null;
      groups.pop();
      outer.ways *= group.ways * group.alternatives;
    } else if (REPEAT.test(token)) {
      const [least, most] = boundsOf(token);
      if (tokens[i - 1] === ')' && most > 1) return null;
      if (most === Infinity) loops++;
      else group.ways *= most - least + 1;
      size += most === Infinity ? least : most;
    }
  }
  const whole = groups[0]!;
  if (groups.length > 1) return null;
  // Without an anchor it is tried at each place; `^a|b` has one for its first alternative alone.
  const anchored = tokens[0] === '^' && whole.alternatives === 1;
  return { loops: anchored ? loops : loops + 1, factor: whole.ways * whole.alternatives * size };
}

function boundsOf(token: string): readonly [least: number, most: number] {
  if (token.startsWith('?')) return [0, 1];
  if (token.startsWith('*') || token.startsWith('+')) return [0, Infinity];
  const [least = '', most = least] = token.slice(1, token.indexOf('}')).split(',');
  return [Number(least), most === '' ? Infinity : Number(most)];
}

/** How much of something there may be for one value. */
export class StepBudget {
  #left = 0;

  /** At the begin of each value. */
  fill(steps: number): void {
    this.#left = steps;
  }

  spend(steps: number): boolean {
    if (!(steps <= this.#left)) return false;
    this.#left -= steps;
    return true;
  }
}

/** As Ajv takes it: a pattern that could keep a worker busy is not checked, nor is any on a text that is too long for it. Invariant 6. */
export function boundedPatterns(budget: StepBudget) {
  const boundedPattern = (pattern: string, flags: string) => {
    const cost = patternCost(pattern);
    const expression = cost === null ? null : new RegExp(pattern, flags);
    return {
      test: (text: string) =>
        cost === null || !budget.spend(text.length ** cost.loops * cost.factor) || expression!.test(text),
      // Ajv tells patterns apart by it.
      toString: () => `/${pattern}/${flags}`,
    };
  };
  return Object.assign(boundedPattern, { code: 'new RegExp' });
}

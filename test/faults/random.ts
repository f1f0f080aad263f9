/** One seed, one course of events. */
export interface Random {
  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number;
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number;
  chance(share: number): boolean;
  pick<T>(of: readonly T[]): T;
}

/** What a load does is a function of it. */
export type Seed = number | string;

/** Of a round's load: its injection takes the same two. */
export const seedOf = (seed: number, fault: string): Seed => `${seed}/${fault}`;

/** The same for the same parts; different streams of numbers for parts that differ anywhere. */
export function random(...parts: readonly (number | string)[]): Random {
  let state = 2166136261;
  for (const char of parts.join('/')) state = Math.imul(state ^ char.charCodeAt(0), 16777619) >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    between: (least, most) => least + below(most - least + 1),
    chance: (share) => next() < share,
    pick: (of) => of[below(of.length)]!,
  };
}

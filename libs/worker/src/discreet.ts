import { toldText, type ConnectionSettings, type Source } from '@planasonix/core';

const MASK = '********';
const SECRET_NAME = /pass|secret|token|key$/i;
/** A shorter one can't be told from other words: to mask it would garble the text, and show it by what is missing. */
const SHORTEST = 4;
const DEEPEST = 5;
const FOR_PEOPLE: ReadonlySet<string> = new Set(['message', 'fix', 'hint', 'what', 'why', 'serverVersion']);

type Config = Readonly<Record<string, unknown>>;

/**
 * Texts that stand under the name of a secret, however deep: as the schemas of connections name theirs. One that is
 * also in plain sight, as the name of the user, is none: findings would lose the name.
 */
export function secretsIn(config: Config): readonly string[] {
  const [secrets, shown] = [new Set<string>(), new Set<string>()];
  const look = (of: Config, list: string | null): void => {
    for (const [key, value] of Object.entries(of)) {
      // What is in a list is called as the list is.
      const name = list ?? key;
      if (typeof value === 'object' && value !== null) look(value as Config, Array.isArray(value) ? name : null);
      else if (typeof value === 'string') (SECRET_NAME.test(name) ? secrets : shown).add(value);
    }
  };
  look(config, null);
  const found = [...secrets].filter((one) => one.length >= SHORTEST && ![...shown].some((text) => text.includes(one)));
  // As a server's words are passed on it stands in one line. One that holds another comes first.
  return [...new Set(found.flatMap((one) => [one, toldText(one)]))].sort((a, b) => b.length - a.length);
}

/** Keeps secrets out of what is told. A server that was given one can put it into its own words. */
export class Discretion {
  constructor(private readonly secrets: readonly string[]) {}

  text(text: string): string {
    let clean = text;
    for (const secret of this.secrets) {
      clean = clean.replaceAll(secret, MASK);
      // A text that was cut within it.
      for (let end = secret.length - 1; end >= SHORTEST && clean.includes('…'); end--)
        clean = clean.replaceAll(`${secret.slice(0, end)}…`, `${MASK}…`);
    }
    return clean;
  }

  /** Texts for people within plain JSON. Codes and the like are words of ours: a secret that is the same is not in them. */
  value<T>(value: T): T {
    if (this.secrets.length === 0 || typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((one: unknown) => this.value(one)) as T;
    const clean = ([name, one]: [string, unknown]): [string, unknown] => [
      name,
      typeof one === 'string' && FOR_PEOPLE.has(name) ? this.text(one) : this.value(one),
    ];
    return Object.fromEntries(Object.entries(value).map(clean)) as T;
  }

  /** The error itself, with what it was caused by: both come into log lines. */
  error(error: unknown): unknown {
    let at = error;
    for (let depth = 0; depth < DEEPEST && at instanceof Error; depth++) {
      for (const name of ['message', 'stack'] as const) {
        const [text, clean] = [at[name], this.text(at[name] ?? '')];
        // Those of the runtime can't be written.
        if (text !== undefined && text !== clean) Reflect.set(at, name, clean);
      }
      at = at.cause;
    }
    return error;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw this.error(error);
    }
  }

  /** A source that tells no secret: neither in what it throws nor in findings. Events are what they are. */
  source(source: Source): Source {
    if (this.secrets.length === 0) return source;
    return new Proxy(source, { get: (of, name) => this.#member(of, name) });
  }

  #member(of: Source, name: string | symbol): unknown {
    const member: unknown = Reflect.get(of, name, of);
    if (typeof member !== 'function') return member;
    return (...given: readonly unknown[]): unknown => {
      const made: unknown = this.#now(() => Reflect.apply(member, of, given));
      if (name === 'read') return this.#read(made as ReturnType<Source['read']>);
      if (made instanceof Promise)
        return this.during(made).then((result: unknown) => (TOLD.has(name) ? this.value(result) : result));
      return TOLD.has(name) ? this.value(made) : made;
    };
  }

  #now(work: () => unknown): unknown {
    try {
      return work();
    } catch (error) {
      throw this.error(error);
    }
  }

  async *#read(batches: ReturnType<Source['read']>): ReturnType<Source['read']> & AsyncGenerator {
    try {
      yield* batches;
    } catch (error) {
      throw this.error(error);
    }
  }
}

/** What of a source is told to people. Positions have to stay what they are. */
const TOLD: ReadonlySet<string | symbol> = new Set<keyof Source>(['check', 'checkOrder', 'release', 'letGo']);

export const discretionOf = (connection: ConnectionSettings | null, config: Config = {}): Discretion =>
  new Discretion(secretsIn({ ...config, connection: connection?.config }));

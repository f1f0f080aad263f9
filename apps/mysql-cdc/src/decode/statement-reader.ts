import type { Token } from './statement-tokens.js';

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** Goes through the words of one statement. */
export class StatementReader {
  at = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly database: string,
    /** A name's bytes, one a character, to its text. */
    readonly named: (bytes: string) => string,
  ) {}

  get word(): string {
    const token = this.tokens[this.at];
    return token === undefined || token.quoted ? '' : token.text;
  }

  /** What has not been gone through. */
  get rest(): readonly Token[] {
    return this.tokens.slice(this.at);
  }

  get done(): boolean {
    return this.at >= this.tokens.length;
  }

  /** Takes these words in this order, all or none. */
  take(...words: readonly string[]): boolean {
    const all = words.every((word, i) => {
      const token = this.tokens[this.at + i];
      return token !== undefined && !token.quoted && token.text === word;
    });
    if (all) this.at += words.length;
    return all;
  }

  one(...words: readonly string[]): boolean {
    return words.some((word) => this.take(word));
  }

  name(): TableName {
    const first = this.named(this.tokens[this.at++]?.name ?? '');
    if (this.word !== '.') return { schema: this.database, table: first };
    this.at += 1;
    return { schema: first, table: this.named(this.tokens[this.at++]?.name ?? '') };
  }

  names(): TableName[] {
    const names = [this.name()];
    while (this.take(',')) names.push(this.name());
    return names;
  }

  /** Goes on behind these words, or stays where it is. */
  find(...words: readonly string[]): boolean {
    for (const from = this.at; ; this.at++) {
      if (this.take(...words)) return true;
      if (!this.done) continue;
      this.at = from;
      return false;
    }
  }
}

import { JsonBuffer } from '@planasonix/json-buffer';

/** Keys of many rows: written one behind the other, made texts of all at once, for a call of the decoder costs more than a key. */
export class KeyTexts {
  /** Where the next key is to be written. */
  readonly out = new JsonBuffer();
  private ends: number[] = [];

  /** A key, perhaps an empty one, has been written. */
  end(): void {
    this.ends.push(this.out.written);
  }

  /** Those since it was last asked. */
  take(): string[] {
    const { out, ends } = this;
    const all = out.text(0);
    // A character of several bytes in one of them: places of bytes and of characters differ.
    const plain = all.length === out.written;
    let from = 0;
    const texts = ends.map((end) => {
      const text = plain ? all.slice(from, end) : out.text(from, end);
      from = end;
      return text;
    });
    out.rewind(0);
    this.ends = [];
    return texts;
  }
}

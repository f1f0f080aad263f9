import { piece, type JsonBuffer } from '@planasonix/json-buffer';
import type { Relation } from './relation.js';

const [NULL, UNCHANGED, TEXT] = [0x6e, 0x75, 0x74];
const NULL_JSON = piece('null');

/** A row of pgoutput laid out over its message: where each value begins and ends; reused, never allocated per row. */
export class Tuple {
  source: Buffer = Buffer.alloc(0);
  count = 0;
  /** Start of each value; -1: null, -2: a TOAST value that the server did not send. */
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  /** @returns the offset after the tuple. @throws RangeError where the message is cut short. */
  read(message: Buffer, offset: number): number {
    this.source = message;
    this.count = (message[offset]! << 8) | message[offset + 1]!;
    let at = offset + 2;
    for (let i = 0; i < this.count; i++) {
      const kind = message[at];
      if (kind === TEXT) {
        const length = (message[at + 1]! << 24) | (message[at + 2]! << 16) | (message[at + 3]! << 8) | message[at + 4]!;
        this.starts[i] = at + 5;
        at += 5 + length;
        this.ends[i] = at;
      } else if (kind === NULL || kind === UNCHANGED) {
        this.starts[i] = kind === NULL ? -1 : -2;
        at += 1;
      } else throw new RangeError('a tuple is not in text form');
    }
    if (at > message.length) throw new RangeError('a tuple is cut short');
    return at;
  }

  /** Of an old row only the replica identity was sent: the nulls in the place of other columns are no values. */
  keepOnly({ columns }: Relation): void {
    for (let i = 0; i < this.count; i++) if (columns[i]?.identity !== true) this.starts[i] = -2;
  }

  isUnchanged(i: number): boolean {
    return this.starts[i] === -2;
  }

  /** Whether column `i` holds the same text in both. */
  same(i: number, other: Tuple): boolean {
    const [a, b] = [this.starts[i]!, other.starts[i]!];
    if (a < 0 || b < 0) return a === b || a === -2 || b === -2;
    return this.source.compare(other.source, b, other.ends[i], a, this.ends[i]) === 0;
  }

  /** What the server sent for column `i`; empty where that is nothing. */
  text(i: number): string {
    const start = this.starts[i]!;
    return start < 0 ? '' : this.source.toString('utf8', start, this.ends[i]);
  }

  /** Writes the value of column `i`, or null. */
  value(out: JsonBuffer, relation: Relation, i: number): void {
    const start = this.starts[i]!;
    if (start < 0) out.put(NULL_JSON);
    else relation.writers[i]!(out, this.source, start, this.ends[i]!);
  }
}

/**
 * Writes a row as an object. A value that was not sent is taken from `older` where that has it, else left out.
 * @param keyOnly only the key's columns.
 */
export function writeRow(
  out: JsonBuffer,
  relation: Relation,
  tuple: Tuple,
  older: Tuple | null,
  keyOnly: boolean,
): void {
  out.byte(0x7b);
  let first = true;
  for (let i = 0; i < tuple.count; i++) {
    if (relation.hidden[i] || (keyOnly && !relation.isKey[i])) continue;
    let from = tuple;
    if (tuple.isUnchanged(i)) {
      if (older === null || older.isUnchanged(i)) continue;
      from = older;
    }
    out.put(first ? relation.firstLabels[i]! : relation.labels[i]!);
    first = false;
    from.value(out, relation, i);
  }
  out.byte(0x7d);
}

/** Writes `["a","b"]`: the columns that the server did not send and nobody else knows. */
export function writeUnchanged(out: JsonBuffer, relation: Relation, tuple: Tuple, older: Tuple | null): void {
  out.byte(0x5b);
  let first = true;
  for (let i = 0; i < tuple.count; i++) {
    if (!tuple.isUnchanged(i) || relation.hidden[i] || (older !== null && !older.isUnchanged(i))) continue;
    if (!first) out.byte(0x2c);
    first = false;
    const label = relation.firstLabels[i]!;
    out.raw(label.bytes, 0, label.length - 1);
  }
  out.byte(0x5d);
}

/** Writes the `partitionkey`: the key's columns as a JSON object, in the key's order; nothing without a key. */
export function writeKey(out: JsonBuffer, relation: Relation, tuple: Tuple, older: Tuple | null): void {
  const { key } = relation;
  if (key.length === 0) return;
  out.byte(0x7b);
  for (let n = 0; n < key.length; n++) {
    const i = key[n]!;
    out.put(n === 0 ? relation.firstLabels[i]! : relation.labels[i]!);
    (tuple.isUnchanged(i) && older !== null ? older : tuple).value(out, relation, i);
  }
  out.byte(0x7d);
}

/** The same as text. */
export function keyText(out: JsonBuffer, relation: Relation, tuple: Tuple, older: Tuple | null): string {
  if (relation.key.length === 0) return '';
  const since = out.written;
  writeKey(out, relation, tuple, older);
  const text = out.text(since);
  out.rewind(since);
  return text;
}

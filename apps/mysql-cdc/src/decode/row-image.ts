import { piece, type JsonBuffer } from '@planasonix/json-buffer';
import type { Relation } from './relation.js';

const NULL = piece('null');

/** What one image of a row was: where it ended, and the text of its key. */
export interface Image {
  end: number;
  key: string;
}

/** Indexes of the columns that an image holds; `null`: all. */
export type Present = readonly number[] | null;

/**
 * Writes the row at `at` as an object and remembers its key.
 * @param at its null bits: one for each column that is there
 * @throws RangeError where it is cut short
 */
export function writeImage(
  out: JsonBuffer,
  relation: Relation,
  source: Buffer,
  at: number,
  image: Image,
  present: Present,
): void {
  const { readers, labels, bareLabels, hidden, isKey, key } = relation;
  const count = present === null ? readers.length : present.length;
  let next = at + ((count + 7) >> 3);
  const parts: string[] = [];
  let first = true;
  out.byte(0x7b);
  for (let n = 0; n < count; n++) {
    const i = present === null ? n : present[n]!;
    const isNull = ((source[at + (n >> 3)]! >> (n & 7)) & 1) === 1;
    const before = out.written;
    if (!hidden[i]) out.put(first ? bareLabels[i]! : labels[i]!);
    const since = out.written;
    if (isNull) out.put(NULL);
    else next = readers[i]!(out, source, next);
    if (hidden[i]) out.rewind(before);
    else first = false;
    if (isKey[i]) parts[i] = out.text(since);
  }
  out.byte(0x7d);
  image.end = next;
  image.key = keyText(
    relation,
    key.map((i) => parts[i]!),
  );
}

/** The `partitionkey`: the key's columns as a JSON object, in the key's order; empty without a key. */
export function keyText({ keyLabels }: Pick<Relation, 'keyLabels'>, values: readonly string[]): string {
  if (values.length === 0) return '';
  let text = '';
  for (let n = 0; n < values.length; n++) text += keyLabels[n]! + values[n]!;
  return `${text}}`;
}

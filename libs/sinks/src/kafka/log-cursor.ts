import { BEGINNING, StreamError } from '@planasonix/core';

const FORM = /^k[0-9a-z]{1,11}(\.[0-9a-z]{1,11}){0,999}$/;

/** The next offset of each partition of a topic: `k1a.0.2z`, base 36. */
export const cursorText = (next: readonly number[]): string =>
  `k${next.map((offset) => offset.toString(36)).join('.')}`;

/** @throws StreamError `config_invalid` for anything that is no cursor of a log with so many partitions; `BEGINNING` is one of each */
export function cursorOf(text: string, partitions: number): number[] {
  const offsets =
    text === BEGINNING
      ? [0]
      : FORM.test(text)
        ? text
            .slice(1)
            .split('.')
            .map((part) => parseInt(part, 36))
        : [];
  if (offsets.length === 0 || offsets.length > partitions || !offsets.every(Number.isSafeInteger))
    throw new StreamError('config_invalid', 'The cursor is not one of this log', {
      hint: `Take it from an entry that was read before; ${BEGINNING} is the beginning.`,
    });
  // Partitions that were added since are read from their start.
  return Array.from({ length: partitions }, (_, partition) => offsets[partition] ?? 0);
}

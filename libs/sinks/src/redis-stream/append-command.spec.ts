import type { ChangeEvent } from '@planasonix/core';
import fc from 'fast-check';
import { encodeAppend } from './append-command.js';

/** Reads a command back, as Redis does. */
function parse(wire: Buffer): Buffer[] {
  let at = 0;
  const header = (kind: string) => {
    const end = wire.indexOf('\r\n', at);
    const line = wire.toString('latin1', at, end);
    expect(line[0]).toBe(kind);
    at = end + 2;
    return Number(line.slice(1));
  };
  const args = Array.from({ length: header('*') }, () => {
    const length = header('$');
    const arg = wire.subarray(at, at + length);
    expect(wire.toString('latin1', at + length, at + length + 2)).toBe('\r\n');
    at += length + 2;
    return arg;
  });
  expect(at).toBe(wire.length);
  return args;
}

/** What the script does with its arguments. */
function unfold(args: readonly string[]): string[][] {
  const events: string[][] = [];
  for (let i = 0; i < args.length;) {
    const [count, type, subject, time] = args.slice(i, i + 4) as [string, string, string, string];
    i += 4;
    for (let n = Number(count); n > 0; n--, i += 3)
      events.push([args[i]!, type, subject, time, args[i + 1]!, args[i + 2]!]);
  }
  return events;
}

describe('an append on the wire', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom('', 'ä', '\u{1f600}', '\r\n$3'),
  );
  const some = (values: readonly string[]) => fc.constantFrom(...values);
  const event = fc.record({
    id: text,
    type: some(['insert', 'update']),
    subject: some(['a', 'b', 'ünï']),
    time: some(['t1', 't2']),
    timeMs: fc.nat(),
    partitionkey: text,
    data: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    order: fc.constant(null),
  }) satisfies fc.Arbitrary<ChangeEvent>;

  it('is what Redis reads back, byte for byte, with what neighbours share said once', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.array(text, { maxLength: 6 }), (events, args) => {
        const head = { sha: 'a'.repeat(40), eventsKey: 'plnx:events:{x}', logKey: 'plnx:log:{x}', args };
        const found = parse(encodeAppend(head, events, (bytes) => Buffer.alloc(bytes, 0xff)));
        const words = found.map((arg) => arg.toString());
        expect(words.slice(0, 5 + args.length)).toEqual([
          'EVALSHA',
          head.sha,
          '2',
          head.eventsKey,
          head.logKey,
          ...args.map((arg) => Buffer.from(arg).toString()),
        ]);
        const rest = found.slice(5 + args.length).map((arg) => arg.toString('hex'));
        const hex = (value: string) => Buffer.from(value).toString('hex');
        const decimal = rest.map((value) => value);
        // Counts are plain text; `unfold` reads them so.
        for (let i = 0; i < decimal.length;) {
          const count = Number(Buffer.from(decimal[i]!, 'hex').toString());
          decimal[i] = String(count);
          i += 4 + 3 * count;
        }
        expect(unfold(decimal)).toEqual(
          events.map((one) => [
            hex(one.id),
            hex(one.type),
            hex(one.subject),
            hex(one.time),
            hex(one.partitionkey),
            one.data.toString('hex'),
          ]),
        );
      }),
      { numRuns: 300 },
    );
  });
});

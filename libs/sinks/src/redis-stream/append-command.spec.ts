import type { ChangeEvent } from '@planasonix/core';
import fc from 'fast-check';
import { encodeAppend, encodeTransaction } from './append-command.js';

/** Reads commands back, as Redis does. */
function parseAll(wire: Buffer): Buffer[][] {
  const commands: Buffer[][] = [];
  for (let at = 0; at < wire.length;) {
    const { args, end } = parse(wire, at);
    commands.push(args);
    at = end;
  }
  return commands;
}

function parse(wire: Buffer, from = 0): { readonly args: Buffer[]; readonly end: number } {
  let at = from;
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
  return { args, end: at };
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
        const call = { sha: 'a'.repeat(40), keys: ['plnx:events:{x}', 'plnx:log:{x}'], args };
        const [found = [], ...others] = parseAll(encodeAppend(call, events, (bytes) => Buffer.alloc(bytes, 0xff)));
        expect(others).toEqual([]);
        const words = found.map((arg) => arg.toString());
        expect(words.slice(0, 5 + args.length)).toEqual([
          'EVALSHA',
          call.sha,
          '2',
          ...call.keys,
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

  it('as a transaction has an XADD for each event, and replies are on again before its end', () => {
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 40 }),
        fc.array(text, { maxLength: 6 }),
        (events, args) => {
          const keys = ['plnx:events:{x}', 'plnx:log:{x}', 'plnx:borrowed:{x}'];
          const script = (part: string) => ['EVALSHA', 'a'.repeat(40), '3', ...keys, ...args, part];
          const wire = encodeTransaction({ sha: 'a'.repeat(40), keys, args }, '/streams/x', events, (bytes) =>
            Buffer.alloc(bytes, 0xff),
          );
          const plain = (of: Buffer) => parseAll(of).map((command) => command.map((arg) => arg.toString('hex')));
          const said = (command: readonly (string | Buffer)[]) =>
            command.map((word) => Buffer.from(word as string).toString('hex'));
          expect(plain(wire.events)).toEqual(
            [
              ['CLIENT', 'REPLY', 'OFF'],
              ['MULTI'],
              script('begin'),
              ...events.map((one) => [
                ...['XADD', keys[2]!, '*', 'id', one.id, 'type', one.type, 'source', '/streams/x'],
                ...['subject', one.subject, 'time', one.time, 'partitionkey', one.partitionkey, 'data', one.data],
              ]),
              ['CLIENT', 'REPLY', 'ON'],
            ].map(said),
          );
          expect(plain(wire.end)).toEqual([script('end'), ['EXEC']].map(said));
          expect(plain(wire.after)).toEqual([said(['CLIENT', 'REPLY', 'ON'])]);
          expect(plain(wire.why)).toEqual([said(script('why'))]);
        },
      ),
      { numRuns: 100 },
    );
  });
});

import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sourceOf } from './keys.js';

type Command = readonly string[];

const words = (args: Command): string =>
  `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;

/** One event in the stream `key`, as Redis writes it to its file. @param n different ones in one rest */
export const entry = (key: string, n: number, id: string): Command => [
  ...['XADD', key, `${Date.now()}-${n}`, 'id', id, 'type', 'row', 'source', sourceOf(key), 'data', '{}'],
];

/** At the end of its file, what a Redis that is killed leaves of a transaction: all of the last command but its end. */
export function leaveRest(dir: string, commands: readonly Command[]): void {
  const folder = join(dir, 'appendonlydir');
  const file = readdirSync(folder).find((name) => name.endsWith('.incr.aof'))!;
  appendFileSync(join(folder, file), [['MULTI'], ...commands].map(words).join('').slice(0, -9));
}

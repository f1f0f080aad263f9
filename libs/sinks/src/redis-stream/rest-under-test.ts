import { appendFileSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { sourceOf } from './keys.js';

type Command = readonly string[];

function fileIn(dir: string): string {
  const folder = join(dir, 'appendonlydir');
  return join(
    folder,
    readdirSync(folder).find((name) => name.endsWith('.incr.aof'))!,
  );
}

const words = (args: Command): string =>
  `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;

/** One event in the stream `key`, as Redis writes it to its file. @param n different ones in one rest */
export const entry = (key: string, n: number, id: string): Command => [
  ...['XADD', key, `${Date.now()}-${n}`, 'id', id, 'type', 'row', 'source', sourceOf(key), 'data', '{}'],
];

/** At the end of its file, what a Redis that is killed leaves of a transaction: all of the last command but its end. */
export function leaveRest(dir: string, commands: readonly Command[]): void {
  appendFileSync(fileIn(dir), [['MULTI'], ...commands].map(words).join('').slice(0, -9));
}

/** Cuts the last transaction of its file behind so many of its commands, amid the next one. @returns how many it had */
export function cutLast(dir: string, kept: number): number {
  const all = commandsIn(readFileSync(fileIn(dir)));
  const begun = all.findLastIndex(({ name }) => name === 'MULTI');
  truncateSync(fileIn(dir), all[begun + kept + 1]!.end - 9);
  return all.length - begun - 2;
}

/** Each command of a file, and where it ends. */
function commandsIn(file: Buffer): { readonly name: string; readonly end: number }[] {
  const found: { name: string; end: number }[] = [];
  let at = 0;
  const number = (): number => {
    const end = file.indexOf('\r\n', at);
    const value = Number(file.toString('latin1', at + 1, end));
    at = end + 2;
    return value;
  };
  const word = (): string => {
    const length = number();
    at += length + 2;
    return file.toString('utf8', at - length - 2, at - 2);
  };
  while (at < file.length) found.push({ name: Array.from({ length: number() }, word)[0]!, end: at });
  return found;
}

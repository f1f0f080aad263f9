import type { Readable } from 'node:stream';

/** Where lines of the one log go. */
export type WriteLine = (line: string) => void;

const MASK = '********';

/**
 * A last line of defence for the one log: apps don't write secrets, but a crash prints what it likes.
 *
 * @param secrets texts that must not appear, such as keys and URLs with passwords
 */
export function masked(write: WriteLine, secrets: readonly string[]): WriteLine {
  const known = secrets.filter((secret) => secret.length >= 16);
  return (line) => write(known.reduce((text, secret) => text.replaceAll(secret, MASK), line));
}

/** Calls `write` for each line of a stream, with a prefix. A line without an end is written at the end. */
export function forwardLines(stream: Readable, prefix: string, write: WriteLine): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) write(prefix + line);
  });
  stream.on('end', () => {
    if (rest) write(prefix + rest);
  });
}

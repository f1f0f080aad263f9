import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

const BEGIN = Buffer.from('*1\r\n$5\r\nMULTI\r\n');
const END = Buffer.from('\r\n$4\r\nEXEC\r\n');

/** What `redis-check-aof` says of a file that it can't read to its end. */
const CUT = /filename=([^,]+), size=\d+, ok_up_to=(\d+), .*diff=[1-9]/;

/**
 * Cuts a transaction off the end of the AOF that a killed Redis did not write to its end. Redis itself (7.0.15) cuts it behind
 * its last whole command: its beginning stays in the file, what is written next goes behind it, and the `EXEC` of that carries
 * out both when the file is read again. Of a file that is damaged otherwise nothing is cut: Redis says so, and does not start.
 * Does nothing where there is no such file, or no `redis-check-aof`.
 *
 * @param dir the folder of the server, which does not run
 */
export function mendAof(dir: string): void {
  const folder = join(dir, 'appendonlydir');
  const manifest = join(folder, 'appendonly.aof.manifest');
  if (!existsSync(manifest)) return;
  const [, name, until] = CUT.exec(spawnSync('redis-check-aof', [manifest], { encoding: 'utf8' }).stdout ?? '') ?? [];
  if (name === undefined) return;
  const file = join(folder, name);
  const rest = from(file, Number(until));
  if (rest.subarray(0, BEGIN.length).equals(BEGIN) && !rest.includes(END)) truncateSync(file, Number(until));
}

/** More than that is no batch of ours. */
const MOST = 256 * 1024 * 1024;

/** The file itself may be larger than what can be read at once. */
function from(file: string, start: number): Buffer {
  const { size } = statSync(file);
  if (size - start > MOST) return Buffer.alloc(0);
  const rest = Buffer.alloc(size - start);
  const opened = openSync(file, 'r');
  try {
    return rest.subarray(0, readSync(opened, rest, 0, rest.length, start));
  } finally {
    closeSync(opened);
  }
}

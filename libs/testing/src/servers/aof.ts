import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Cuts a transaction off the end of the AOF that a killed Redis did not write to its end. Redis itself (7.0.15) cuts it behind
 * its last whole command: its beginning stays in the file, what is written next goes behind it, and the `EXEC` of that carries
 * out both when the file is read again. Does nothing where there is no such file, or no `redis-check-aof`.
 *
 * @param dir the folder of the server, which does not run
 */
export function mendAof(dir: string): void {
  const manifest = join(dir, 'appendonlydir', 'appendonly.aof.manifest');
  if (!existsSync(manifest)) return;
  spawnSync('redis-check-aof', ['--fix', manifest], { cwd: dir, input: 'y\n', stdio: ['pipe', 'ignore', 'ignore'] });
}

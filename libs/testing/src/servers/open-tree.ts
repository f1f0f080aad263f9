import { chmodSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Lets everybody read and enter what a strict umask has kept to us. */
export function openTree(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const { mode } = lstatSync(path);
    chmodSync(path, (mode & 0o777) | 0o444 | (entry.isDirectory() || (mode & 0o100) !== 0 ? 0o111 : 0));
  }
}

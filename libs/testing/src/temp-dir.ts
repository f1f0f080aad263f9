import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guardFolder } from './servers/guard.js';

/** A new folder that is removed when this process ends. */
export function tempDir(prefix: string): string {
  const path = mkdtempSync(join(tmpdir(), `planasonix-${prefix}-`));
  guardFolder(path);
  return path;
}

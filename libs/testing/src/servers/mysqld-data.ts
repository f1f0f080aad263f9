import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.js';
import { guardFolder } from './guard.js';
import type { Flavor } from './mysqld.js';

const run = promisify(execFile);

/** Holds the uuid of MySQL, which makes one where it is missing. In a data folder of MariaDB nothing tells servers apart. */
const IDENTITY = 'auto.cnf';

/** As root it has to be told that it may. */
export const asRoot = (): readonly string[] => (process.getuid?.() === 0 ? ['--user=root'] : []);

/** Another program, or one that is told something else, makes other data. */
function place(flavor: Flavor): string {
  const { size, mtimeMs } = statSync(flavor.binary);
  const made = JSON.stringify([size, mtimeMs, flavor.init('')]);
  return join(cacheDir(), `${flavor.name}-data-${createHash('sha256').update(made).digest('hex').slice(0, 16)}`);
}

/** The data folder of a server that has never run, made the first time. @returns its path, in the cache */
export async function dataTemplate(flavor: Flavor): Promise<string> {
  const template = place(flavor);
  if (existsSync(template)) return template;
  mkdirSync(cacheDir(), { recursive: true });
  const fresh = mkdtempSync(join(cacheDir(), `${flavor.name}-data-new-`));
  const release = guardFolder(fresh);
  try {
    const [data, tmp] = [join(fresh, 'data'), join(fresh, 'tmp')];
    for (const one of [data, tmp]) mkdirSync(one);
    const { command, args } = flavor.init(data);
    await run(command, [...args, ...asRoot(), `--tmpdir=${tmp}`]);
    rmSync(join(data, IDENTITY), { force: true });
    // Renamed when it is whole: whoever finds it can use it, whenever we are ended.
    renameSync(data, template);
  } catch (error) {
    // Another process was first: its data are as good.
    if (!existsSync(template)) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    release();
  }
  return template;
}

/** Makes `to` the data folder of a new server: copied, for to make one takes the servers seconds. */
export async function newData(flavor: Flavor, to: string): Promise<void> {
  await cp(await dataTemplate(flavor), to, { recursive: true, mode: constants.COPYFILE_FICLONE });
}

import { execFile } from 'node:child_process';
import { constants, mkdirSync, rmSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { madeOnce } from './made-once.js';
import type { Flavor } from './mysqld.js';

const run = promisify(execFile);

/** Holds the uuid of MySQL, which makes one where it is missing. In a data folder of MariaDB nothing tells servers apart. */
const IDENTITY = 'auto.cnf';

/** As root it has to be told that it may. */
export const asRoot = (): readonly string[] => (process.getuid?.() === 0 ? ['--user=root'] : []);

/** The data folder of a server that has never run, made the first time. @returns its path, in the cache */
export function dataTemplate(flavor: Flavor): Promise<string> {
  const { size, mtimeMs } = statSync(flavor.binary);
  return madeOnce(`${flavor.name}-data`, [size, mtimeMs, flavor.init('')], async (data, tmp) => {
    mkdirSync(data);
    const { command, args } = flavor.init(data);
    await run(command, [...args, ...asRoot(), `--tmpdir=${tmp}`]);
    rmSync(join(data, IDENTITY), { force: true });
  });
}

/** Makes `to` the data folder of a new server: copied, for to make one takes the servers seconds. */
export async function newData(flavor: Flavor, to: string): Promise<void> {
  await cp(await dataTemplate(flavor), to, { recursive: true, mode: constants.COPYFILE_FICLONE });
}

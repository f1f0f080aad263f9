import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.js';
import type { Program } from './mysqld.js';

const run = promisify(execFile);
type Say = (line: string) => void;

/** A server that another suite of Debian has; suites move, so this is a further leg of tests and never the only one. */
export interface Foreign {
  /** `MySQL`, in what is said. */
  readonly title: string;
  /** `mysql`, in the cache. */
  readonly name: string;
  readonly suite: string;
  readonly packages: readonly string[];
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Nobody waits longer than that for a leg that may be left out. */
const FETCH_MS = 180_000;

const folder = ({ name, suite }: Foreign): string => join(cacheDir(), `${name}-${suite}`);

/** The folder of its files, or `null` with one line that says how to get them. */
export function foreignRoot(of: Foreign, say: Say = () => undefined): string | null {
  if (existsSync(folder(of))) return folder(of);
  say(`${of.title} is left out: \`npm test\` fetches it, on Debian on x86-64, from the suite ${of.suite}.`);
  return null;
}

/** Packages of another suite with all they need, unpacked into a folder; the system itself stays as it is. */
async function unpack({ suite, packages }: Foreign, dir: string, mirror: string): Promise<void> {
  const apt = join(dir, 'apt');
  for (const part of ['lists/partial', 'archives/partial']) mkdirSync(join(apt, part), { recursive: true });
  const list = join(apt, 'sources.list');
  writeFileSync(join(apt, 'status'), '');
  writeFileSync(list, `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State': apt,
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': apt,
    'Dir::Cache::archives': join(apt, 'archives'),
    'Acquire::Check-Valid-Until': 'false',
    'Acquire::Languages': 'none',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': 'root',
    'Debug::NoLocking': '1',
  };
  const options = ['-qq', ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
  const within = { timeout: FETCH_MS, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  await run('apt-get', [...options, 'update'], within);
  await run('apt-get', [...options, 'install', '-y', '--download-only', ...packages], within);
  for (const name of readdirSync(join(apt, 'archives')).filter((one) => one.endsWith('.deb')))
    await run('dpkg-deb', ['-x', join(apt, 'archives', name), join(dir, 'root')]);
}

/** Fetches it once, where it can be had. @returns whether it is there; `say` hears in one line why not. */
export async function fetchForeign(of: Foreign, say: Say): Promise<boolean> {
  if (existsSync(folder(of))) return true;
  mkdirSync(cacheDir(), { recursive: true });
  const fresh = mkdtempSync(join(cacheDir(), 'fetch-'));
  try {
    const query = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
    const { stdout } = await run('apt-get', query);
    const mirror = stdout.split('\n').find((uri) => uri !== '' && !uri.includes('security'));
    if (mirror === undefined) throw new Error('apt has no mirror');
    say(`Fetching ${of.title} (apt-get) …`);
    await unpack(of, fresh, mirror);
    // Two callers at once do each other no harm.
    if (!existsSync(folder(of))) renameSync(join(fresh, 'root'), folder(of));
    return true;
  } catch (error) {
    say(`${of.title} is left out: ${(error as Error).message.split('\n')[0]}`);
    return existsSync(folder(of));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** A program below such a folder, by its own loader: it needs libraries that are newer than the system's. */
export function foreignProgram(root: string, binary: string, privateLibraries: readonly string[] = []): Program {
  const lib = join(root, 'usr/lib/x86_64-linux-gnu');
  const libraries = [lib, join(lib, 'private'), ...privateLibraries.map((one) => join(root, one))].join(':');
  return { command: join(lib, 'ld-linux-x86-64.so.2'), args: ['--library-path', libraries, join(root, binary)] };
}

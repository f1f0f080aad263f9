import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.js';
import { dataTemplate } from './mysqld-data.js';
import { startMysqld, type Flavor, type Mysqld, type MysqldOptions, type Program } from './mysqld.js';

const run = promisify(execFile);
type Say = (line: string) => void;

/** The suite of Debian that has MySQL's own server; it moves, so this is a further leg of suites and never the only one. */
const SUITE = 'sid';
const PACKAGES = ['mysql-server-core'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Nobody waits longer than that for a leg that may be left out. */
const FETCH_MS = 180_000;

const folder = (): string => join(cacheDir(), `mysql-${SUITE}`);

/** The folder of MySQL's files, or `null` with one line that says how to get them. */
export function mySqlRoot(say: Say = () => undefined): string | null {
  if (existsSync(folder())) return folder();
  say('MySQL is left out: `npm test` fetches it, on Debian on x86-64, from the suite sid.');
  return null;
}

/** Packages of another suite with all they need, unpacked into a folder; the system itself stays as it is. */
async function unpack(dir: string, mirror: string): Promise<void> {
  const apt = join(dir, 'apt');
  for (const part of ['lists/partial', 'archives/partial']) mkdirSync(join(apt, part), { recursive: true });
  const list = join(apt, 'sources.list');
  writeFileSync(join(apt, 'status'), '');
  writeFileSync(list, `deb [signed-by=${KEYRING}] ${mirror} ${SUITE} main\n`);
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
  await run('apt-get', [...options, 'install', '-y', '--download-only', ...PACKAGES], within);
  for (const name of readdirSync(join(apt, 'archives')).filter((one) => one.endsWith('.deb')))
    await run('dpkg-deb', ['-x', join(apt, 'archives', name), join(dir, 'root')]);
}

/** Fetches MySQL once, 430 MB, where it can be had. @returns whether it is there; `say` hears in one line why not. */
async function fetchMySql(say: Say): Promise<boolean> {
  if (existsSync(folder())) return true;
  mkdirSync(cacheDir(), { recursive: true });
  const fresh = mkdtempSync(join(cacheDir(), 'fetch-'));
  try {
    const query = ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'];
    const { stdout } = await run('apt-get', query);
    const mirror = stdout.split('\n').find((uri) => uri !== '' && !uri.includes('security'));
    if (mirror === undefined) throw new Error('apt has no mirror');
    say('Fetching MySQL (apt-get) …');
    await unpack(fresh, mirror);
    // Two callers at once do each other no harm.
    if (!existsSync(folder())) renameSync(join(fresh, 'root'), folder());
    return true;
  } catch (error) {
    say(`MySQL is left out: ${(error as Error).message.split('\n')[0]}`);
    return existsSync(folder());
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

const binary = (root: string): string => join(root, 'usr/sbin/mysqld');

/** By its own loader: it needs libraries that are newer than the system's. */
function program(root: string): Program {
  const lib = join(root, 'usr/lib/x86_64-linux-gnu');
  const libraries = [lib, join(lib, 'private'), join(root, 'usr/lib/mysql/private')].join(':');
  const share = join(root, 'usr/share/mysql');
  const places = [
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, 'charsets')}`,
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
  ];
  return {
    command: join(lib, 'ld-linux-x86-64.so.2'),
    args: ['--library-path', libraries, binary(root), '--no-defaults', ...places],
  };
}

function flavor(): Flavor {
  const root = mySqlRoot();
  if (root === null) throw new Error('MySQL is not here.');
  const server = program(root);
  // As large as the server has it: another one would be made anew at each start.
  const redo = '--innodb-redo-log-capacity=8M';
  const bare = ['--initialize-insecure', '--secure-file-priv=NULL', redo];
  return {
    name: 'mysql',
    init: (dir) => ({ ...server, args: [...server.args, ...bare, `--datadir=${dir}`] }),
    server: { ...server, args: [...server.args, redo] },
    binary: binary(root),
    settings: { gtid_mode: 'ON', enforce_gtid_consistency: 'ON', mysqlx: 'OFF', secure_file_priv: 'NULL' },
  };
}

/** Everything that `startMySql` needs, where it can be had; `say` hears in one line why not. */
export async function provisionMySql(say: Say = () => undefined): Promise<void> {
  if (await fetchMySql(say)) await dataTemplate(flavor());
}

/** MySQL as Oracle makes it, with a binlog of whole rows, full metadata and GTIDs. @throws where it is not there */
export const startMySql = async (options: MysqldOptions = {}): Promise<Mysqld> => startMysqld(flavor(), options);

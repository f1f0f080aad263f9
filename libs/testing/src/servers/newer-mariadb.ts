import { join } from 'node:path';
import { REDO, SETTINGS } from './mariadb.js';
import { dataTemplate } from './mysqld-data.js';
import { startMysqld, type Flavor, type Mysqld, type MysqldOptions } from './mysqld.js';
import { fetchForeign, foreignProgram, foreignRoot, type Foreign } from './unpacked.js';

type Say = (line: string) => void;

/** 75 MB. */
const NEWER: Foreign = {
  ...{ title: 'MariaDB 11.8', name: 'mariadb', suite: 'trixie' },
  packages: ['mariadb-server-core'],
};
const BINARY = 'usr/sbin/mariadbd';
/** What makes the tables of a new server, in this order. */
const SYSTEM_TABLES = [
  'mariadb_system_tables.sql',
  'mariadb_performance_tables.sql',
  'mariadb_system_tables_data.sql',
  'maria_add_gis_sp_bootstrap.sql',
  'mariadb_sys_schema.sql',
];
/** Their own installer runs the server without its loader. */
const BOOTSTRAP =
  'cd "$1" && shift && { printf "CREATE DATABASE mysql;\\nUSE mysql;\\nSET @auth_root_socket = NULL;\\n"; cat $0; } | "$@"';

/** The folder of the files of MariaDB 11.8, or `null` with one line that says how to get them. */
export const newerMariaDbRoot = (say?: Say): string | null => foreignRoot(NEWER, say);

function newerFlavor(): Flavor {
  const root = newerMariaDbRoot();
  if (root === null) throw new Error('MariaDB 11.8 is not here.');
  const share = join(root, 'usr/share/mariadb');
  const { command, args } = foreignProgram(root, BINARY);
  const places = [
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, 'charsets')}`,
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
  ];
  const server = { command, args: [...args, '--no-defaults', ...places, REDO] };
  const bootstrap = [BOOTSTRAP, SYSTEM_TABLES.join(' '), share, command, ...server.args, '--bootstrap'];
  return {
    name: 'mariadb-11.8',
    init: (dir) => ({ command: '/bin/sh', args: ['-c', ...bootstrap, `--datadir=${dir}`] }),
    server,
    binary: join(root, BINARY),
    settings: SETTINGS,
  };
}

/** Everything that `startNewerMariaDb` needs, where it can be had; `say` hears in one line why not. */
export async function provisionNewerMariaDb(say: Say = () => undefined): Promise<void> {
  if (await fetchForeign(NEWER, say)) await dataTemplate(newerFlavor());
}

/** MariaDB 11.8, the same as `startMariaDb`. @throws where it is not there */
export const startNewerMariaDb = async (options: MysqldOptions = {}): Promise<Mysqld> =>
  startMysqld(newerFlavor(), options);

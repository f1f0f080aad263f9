import { join } from 'node:path';
import { dataTemplate } from './mysqld-data.js';
import { startMysqld, type Flavor, type Mysqld, type MysqldOptions, type Program } from './mysqld.js';
import { fetchForeign, foreignProgram, foreignRoot, type Foreign } from './unpacked.js';

type Say = (line: string) => void;

/** 430 MB. */
const MYSQL: Foreign = { title: 'MySQL', name: 'mysql', suite: 'sid', packages: ['mysql-server-core'] };
const BINARY = 'usr/sbin/mysqld';

/** The folder of MySQL's files, or `null` with one line that says how to get them. */
export const mySqlRoot = (say?: Say): string | null => foreignRoot(MYSQL, say);

function program(root: string): Program {
  const { command, args } = foreignProgram(root, BINARY, ['usr/lib/mysql/private']);
  const share = join(root, 'usr/share/mysql');
  const places = [
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, 'charsets')}`,
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
  ];
  return { command, args: [...args, '--no-defaults', ...places] };
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
    binary: join(root, BINARY),
    settings: { gtid_mode: 'ON', enforce_gtid_consistency: 'ON', mysqlx: 'OFF', secure_file_priv: 'NULL' },
  };
}

/** Everything that `startMySql` needs, where it can be had; `say` hears in one line why not. */
export async function provisionMySql(say: Say = () => undefined): Promise<void> {
  if (await fetchForeign(MYSQL, say)) await dataTemplate(flavor());
}

/** MySQL as Oracle makes it, with a binlog of whole rows, full metadata and GTIDs. @throws where it is not there */
export const startMySql = async (options: MysqldOptions = {}): Promise<Mysqld> => startMysqld(flavor(), options);

import { dataTemplate } from './mysqld-data.js';
import { startMysqld, type Flavor, type Mysqld, type MysqldOptions } from './mysqld.js';
import { systemProgram } from './system-program.js';

type Say = (line: string) => void;

const HINT = 'MariaDB is missing: apt-get install mariadb-server (macOS: brew install mariadb).';

const program = (name: string, say?: Say): string =>
  systemProgram({ names: [name], packages: ['mariadb-server'], hint: HINT }, say);

/** Copied for each server, and so no larger than tests need it. */
export const REDO = '--innodb-log-file-size=16M';
export const SETTINGS = { gtid_strict_mode: 'ON' };

function flavor(say?: Say): Flavor {
  const command = program('mariadbd', say);
  const install = program('mariadb-install-db');
  const bare = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db', REDO];
  return {
    name: 'mariadb',
    init: (dir) => ({ command: install, args: [...bare, `--datadir=${dir}`] }),
    server: { command, args: ['--no-defaults', REDO] },
    binary: command,
    settings: SETTINGS,
  };
}

/** Reads a binlog, also over the network; comes with MariaDB. */
export const mysqlBinlogProgram = (): string =>
  systemProgram({ names: ['mariadb-binlog', 'mysqlbinlog'], packages: ['mariadb-server'], hint: HINT });

/** Everything that `startMariaDb` needs, so that the first test does not wait for it. On Debian as root it is installed. */
export const provisionMariaDb = async (say?: Say): Promise<void> => void (await dataTemplate(flavor(say)));

/** MariaDB as the system brings it, with a binlog of whole rows and full metadata. */
export const startMariaDb = (options: MysqldOptions = {}): Promise<Mysqld> => startMysqld(flavor(), options);

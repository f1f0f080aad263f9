import { dataTemplate } from './mysqld-data.js';
import { startMysqld, type Flavor, type Mysqld, type MysqldOptions } from './mysqld.js';
import { systemProgram } from './system-program.js';

const HINT = 'MariaDB is missing: apt-get install mariadb-server (macOS: brew install mariadb).';

const program = (name: string, say?: (line: string) => void): string =>
  systemProgram({ names: [name], packages: ['mariadb-server'], hint: HINT }, say);

/** Copied for each server, and so no larger than tests need it. */
const REDO = '--innodb-log-file-size=16M';

function flavor(say?: (line: string) => void): Flavor {
  const command = program('mariadbd', say);
  const install = program('mariadb-install-db');
  const bare = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db', REDO];
  return {
    name: 'mariadb',
    init: (dir) => ({ command: install, args: [...bare, `--datadir=${dir}`] }),
    server: { command, args: ['--no-defaults', REDO] },
    binary: command,
    settings: { gtid_strict_mode: 'ON' },
  };
}

/** Everything that `startMariaDb` needs, so that the first test does not wait for it. On Debian as root it is installed. */
export const provisionMariaDb = async (say?: (line: string) => void): Promise<void> =>
  void (await dataTemplate(flavor(say)));

/** MariaDB as the system brings it, with a binlog of whole rows and full metadata. */
export const startMariaDb = (options: MysqldOptions = {}): Promise<Mysqld> => startMysqld(flavor(), options);

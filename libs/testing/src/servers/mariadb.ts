import { startMysqld, type Mysqld, type MysqldOptions } from './mysqld.js';
import { systemProgram } from './system-program.js';

const HINT = 'MariaDB is missing: apt-get install mariadb-server (macOS: brew install mariadb).';

const program = (name: string, say?: (line: string) => void): string =>
  systemProgram({ names: [name], packages: ['mariadb-server'], hint: HINT }, say);

/** Path of mariadbd. On Debian as root it is installed when it is missing. */
export const mariaDbServer = (say?: (line: string) => void): string => program('mariadbd', say);

/** MariaDB as the system brings it, with a binlog of whole rows and full metadata. */
export function startMariaDb(options: MysqldOptions = {}): Promise<Mysqld> {
  const command = mariaDbServer();
  const install = program('mariadb-install-db');
  const bare = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db'];
  return startMysqld(
    {
      name: 'mariadb',
      init: (dir) => ({ command: install, args: [...bare, `--datadir=${dir}`] }),
      server: { command, args: ['--no-defaults'] },
      settings: { gtid_strict_mode: 'ON' },
    },
    options,
  );
}

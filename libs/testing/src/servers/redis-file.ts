import { systemProgram } from './system-program.js';

/** Path of redis-server. On Debian as root it is installed when it is missing. */
export const redisServer = (say?: (line: string) => void): string =>
  systemProgram(
    {
      names: ['redis-server', 'valkey-server'],
      packages: ['redis-server'],
      hint: 'redis-server is missing: apt-get install redis-server (macOS: brew install redis), or set REDIS_URL.',
    },
    say,
  );

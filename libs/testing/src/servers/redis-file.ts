import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const onPath = (name: string): string | null =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path)) ?? null;

const POLICY = '/usr/sbin/policy-rc.d';

/** Debian's package starts a service of its own; the policy file is its documented way of being told not to. */
function aptInstall(packages: readonly string[]): void {
  const quiet = !existsSync(POLICY);
  if (quiet) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'ignore', env });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { stdio: 'ignore', env });
  } finally {
    if (quiet) rmSync(POLICY, { force: true });
  }
}

const HINT = 'redis-server is missing: apt-get install redis-server (macOS: brew install redis), or set REDIS_URL.';

/** Path of redis-server. On Debian as root it is installed when it is missing. */
export function redisServer(say: (line: string) => void = () => undefined): string {
  const there = onPath('redis-server') ?? onPath('valkey-server');
  if (there) return there;
  if (process.getuid?.() === 0 && onPath('apt-get')) {
    say('Installing redis-server (apt-get) …');
    try {
      aptInstall(['redis-server']);
    } catch {
      throw new Error(HINT);
    }
    const installed = onPath('redis-server');
    if (installed) return installed;
  }
  throw new Error(HINT);
}

import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program of the system that no npm package ships. */
export interface SystemProgram {
  /** Names that it goes by; the first one is the one that is installed. */
  readonly names: readonly [string, ...string[]];
  /** Debian's packages that bring it. */
  readonly packages: readonly string[];
  /** One line for those whose system we do not install on. */
  readonly hint: string;
}

const onPath = (name: string): string | null =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path)) ?? null;

const POLICY = '/usr/sbin/policy-rc.d';

/** Debian's packages start services of their own; the policy file is the documented way of telling them not to. */
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

const find = (program: SystemProgram): string | null =>
  program.names.reduce<string | null>((found, name) => found ?? onPath(name), null);

/**
 * Path of the program. On Debian as root it is installed when it is missing.
 * @throws with the program's hint where it can't be had.
 */
export function systemProgram(program: SystemProgram, say: (line: string) => void = () => undefined): string {
  const there = find(program);
  if (there) return there;
  if (process.getuid?.() === 0 && onPath('apt-get')) {
    say(`Installing ${program.names[0]} (apt-get) …`);
    try {
      aptInstall(program.packages);
    } catch {
      throw new Error(program.hint);
    }
    const installed = find(program);
    if (installed) return installed;
  }
  throw new Error(program.hint);
}

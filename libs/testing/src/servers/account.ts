import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, resolve } from 'node:path';

/** The system account that a server runs under. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const idOf = (flag: '-u' | '-g', name: string): number | null => {
  try {
    return Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }).toString());
  } catch {
    return null;
  }
};

const accountOf = (name: string): Account | null => {
  const uid = idOf('-u', name);
  const gid = idOf('-g', name);
  return uid === null || gid === null || uid === 0 ? null : { uid, gid };
};

let found: Account | null = null;

/** Postgres refuses to run as root: the account to run it under instead, or ours when we are not root. */
export function postgresAccount(): Account {
  if (found) return found;
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return (found = { uid, gid: process.getgid?.() ?? uid });
  found = accountOf('postgres') ?? accountOf('planasonix') ?? createAccount() ?? accountOf('nobody');
  if (!found)
    throw new Error(
      'Postgres does not run as root: add a user for it (useradd --system postgres), or start as another user.',
    );
  return found;
}

function createAccount(): Account | null {
  try {
    execFileSync(
      'useradd',
      ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', 'planasonix'],
      { stdio: 'ignore' },
    );
  } catch {
    return null;
  }
  return accountOf('planasonix');
}

/** Whether `account` can enter `path` and every folder above it (a clone in a 0700 folder of root can't be). */
export function reachable(path: string, account: Account): boolean {
  for (let at = resolve(path); ; at = dirname(at)) {
    const { mode, uid, gid } = statSync(at);
    const bits = account.uid === 0 ? 0o7 : account.uid === uid ? mode >> 6 : account.gid === gid ? mode >> 3 : mode;
    if ((bits & 0o5) !== 0o5) return false;
    if (at === dirname(at)) return true;
  }
}

/** A folder for temporary things that `account` can enter. */
export function openTmp(account: Account): string {
  for (const path of [tmpdir(), '/tmp', '/var/tmp']) {
    try {
      if (reachable(path, account)) return path;
    } catch {
      // Not there on this system.
    }
  }
  throw new Error(`No temporary folder is open to user ${account.uid}: set TMPDIR to one that is.`);
}

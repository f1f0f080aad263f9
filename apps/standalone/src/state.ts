import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { postgresAccount, reachable } from '@planasonix/testing';

/** The folder `.planasonix/`: everything that this machine keeps. It can be deleted as a whole. */
export interface LocalState {
  readonly dir: string;
  /** A secret that is made once and kept for us alone. `made` says whether this is the first time. */
  secret(name: string, make: () => string): { readonly value: string; readonly made: boolean };
  /** A port that a server comes back to, or `null`. */
  port(server: string): number | null;
  rememberPort(server: string, port: number): void;
  /** Data folder of the embedded Postgres, where the account it runs under can enter. */
  postgresDir(): string;
  redisDir(): string;
}

export const newApiKey = (): string => `plnx_live_${randomBytes(32).toString('base64url')}`;
export const newEncryptionKey = (): string => randomBytes(32).toString('base64');
export const newPassword = (): string => randomBytes(24).toString('base64url');

export function openState(root: string): LocalState {
  const dir = path.join(root, '.planasonix');
  mkdirSync(dir, { recursive: true });
  const portsFile = path.join(dir, 'ports.json');

  /** Whole or not at all: a launcher may be ended at any moment. */
  const put = (file: string, contents: string) => {
    const fresh = `${file}.${process.pid}`;
    writeFileSync(fresh, contents, { mode: 0o600 });
    renameSync(fresh, file);
  };
  const ports = (): Record<string, number> => {
    try {
      return JSON.parse(readFileSync(portsFile, 'utf8')) as Record<string, number>;
    } catch {
      return {};
    }
  };
  return {
    dir,
    secret(name, make) {
      const file = path.join(dir, name);
      if (existsSync(file)) return { value: readFileSync(file, 'utf8').trim(), made: false };
      const value = make();
      put(file, `${value}\n`);
      return { value, made: true };
    },
    port: (server) => ports()[server] ?? null,
    rememberPort(server, port) {
      if (ports()[server] !== port) put(portsFile, JSON.stringify({ ...ports(), [server]: port }));
    },
    postgresDir: () => postgresDir(root, path.join(dir, 'postgres')),
    redisDir: () => path.join(dir, 'redis'),
  };
}

/**
 * Postgres does not run as root, and the account that it runs under instead can't enter a checkout below a folder
 * that is closed to it: then the data lies in /var/tmp, and `.planasonix/postgres` is a link to it.
 */
function postgresDir(root: string, wanted: string): string {
  // The path behind the link: the link itself may lie where the account can't go.
  if (existsSync(wanted)) return realpathSync(wanted);
  if (reachable(path.dirname(wanted), postgresAccount())) return wanted;
  if (lstatSync(wanted, { throwIfNoEntry: false })) rmSync(wanted);
  const prefix = `planasonix-${createHash('sha256').update(root).digest('hex').slice(0, 12)}-`;
  const home = '/var/tmp';
  // `.planasonix` was deleted: what it pointed to goes too.
  for (const name of readdirSync(home))
    if (name.startsWith(prefix) && lstatSync(path.join(home, name)).uid === process.getuid?.())
      rmSync(path.join(home, name), { recursive: true, force: true });
  const outer = mkdtempSync(path.join(home, prefix));
  chmodSync(outer, 0o755);
  const data = path.join(outer, 'postgres');
  mkdirSync(data);
  symlinkSync(data, wanted);
  return data;
}

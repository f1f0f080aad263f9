import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Account, openTmp, postgresAccount } from './account.js';
import { guardFolder } from './guard.js';
import type { PostgresVersion } from './postgres-files.js';
import { type Postgres, startPostgres } from './postgres.js';

export interface StandbyOptions {
  /** That of the primary; default 17. */
  readonly version?: PostgresVersion;
  /** Physical slot that it makes at the primary and follows; default `standby`. */
  readonly slot?: string;
  /** Settings on top of those that make it a standby, such as `sync_replication_slots` (17 and later). */
  readonly config?: Readonly<Record<string, string>>;
}

export interface Standby extends Postgres {
  /** Makes it a primary on a timeline of its own. */
  promote(): Promise<void>;
}

/** Not part of a base backup: of the running server, and slots, which belong to it alone. */
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'pg_replslot']);

/** Copies a folder that is being written to: files that go meanwhile are not missed, replay restores what matters. */
function copyLive(from: string, to: string, account: Account): void {
  const own = (path: string): void => {
    if (process.getuid?.() === 0) chownSync(path, account.uid, account.gid);
  };
  mkdirSync(to);
  chmodSync(to, 0o700);
  own(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    try {
      if (entry.isDirectory()) {
        if (LEFT_OUT.has(entry.name)) {
          mkdirSync(target);
          own(target);
        } else copyLive(source, target, account);
      } else if (!LEFT_OUT.has(entry.name)) {
        copyFileSync(source, target);
        own(target);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** A hot standby of a running server: its data copied between the start and the end of a backup, then streaming. */
export async function startStandby(primary: Postgres, options: StandbyOptions = {}): Promise<Standby> {
  const { version = 17, slot = 'standby' } = options;
  const account = postgresAccount();
  const folder = mkdtempSync(join(openTmp(account), 'planasonix-pg-'));
  const release = guardFolder(folder);
  if (process.getuid?.() === 0) chownSync(folder, account.uid, account.gid);
  const data = join(folder, 'data');
  const session = await primary.connect();
  await session.query('SELECT pg_create_physical_replication_slot($1, true)', [slot]);
  const [start, stop] =
    version >= 15
      ? ["pg_backup_start('standby', true)", 'pg_backup_stop(false)']
      : ["pg_start_backup('standby', true, false)", 'pg_stop_backup(false, false)'];
  await session.query(`SELECT ${start}`);
  copyLive(primary.dir, data, account);
  const { rows } = await session.query<{ labelfile: string }>(`SELECT labelfile FROM ${stop}`);
  await session.end();
  for (const [name, text] of [
    ['backup_label', rows[0]!.labelfile],
    ['standby.signal', ''],
  ] as const) {
    writeFileSync(join(data, name), text, { mode: 0o600 });
    if (process.getuid?.() === 0) chownSync(join(data, name), account.uid, account.gid);
  }
  const server = await startPostgres({
    version,
    dir: folder,
    password: primary.password,
    config: {
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres password=${primary.password} dbname=postgres`,
      primary_slot_name: slot,
      hot_standby_feedback: 'on',
      wal_receiver_status_interval: '1s',
      ...options.config,
    },
  });
  const end = server.stop.bind(server);
  return Object.assign(server, {
    async promote(): Promise<void> {
      const client = await server.connect();
      await client.query('SELECT pg_promote(true, 60)');
      await client.end();
    },
    async stop(mode?: Parameters<Postgres['stop']>[0]): Promise<void> {
      await end(mode);
      rmSync(folder, { recursive: true, force: true });
      release();
    },
  });
}

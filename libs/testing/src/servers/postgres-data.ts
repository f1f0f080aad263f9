import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Account, openTmp } from './account.js';
import { guardFolder } from './guard.js';
import { madeOnce } from './made-once.js';

const run = promisify(execFile);

export interface ClusterOptions {
  /** Folder with `bin/initdb`. */
  readonly files: string;
  readonly account: Account;
  /** Of the superuser `postgres`. */
  readonly password: string;
}

const ARGS = ['-U', 'postgres', '-A', 'scram-sha-256', '--no-instructions', '-E', 'UTF8', '--locale=C', '--no-sync'];

const own = (path: string, { uid, gid }: Account): void => {
  if (process.getuid?.() === 0) chownSync(path, uid, gid);
};

/** Makes `data`, which is not there yet, the data folder of a new server. Its parent belongs to `account`. */
export async function initCluster({ files, account, password }: ClusterOptions, data: string): Promise<void> {
  const secret = `${data}.password`;
  rmSync(secret, { force: true });
  writeFileSync(secret, password, { mode: 0o600 });
  own(secret, account);
  try {
    await run(join(files, 'bin/initdb'), ['-D', data, '--pwfile', secret, ...ARGS], {
      cwd: '/',
      ...(process.getuid?.() === 0 ? account : {}),
    });
  } finally {
    rmSync(secret, { force: true });
  }
}

/**
 * The same by a copy, with an identity of its own: `initdb` takes a second of CPU.
 * @param release of the server
 */
export async function copyCluster(options: ClusterOptions, release: string, data: string): Promise<void> {
  const { account, password } = options;
  const template = await madeOnce('postgres-data', [release, account, password, ARGS], async (folder) => {
    // The account can't enter the cache.
    const open = mkdtempSync(join(openTmp(account), 'planasonix-pg-'));
    const letGo = guardFolder(open);
    try {
      own(open, account);
      chmodSync(open, 0o700);
      await initCluster(options, join(open, 'data'));
      await copy(join(open, 'data'), folder);
    } finally {
      rmSync(open, { recursive: true, force: true });
      letGo();
    }
  });
  await copy(template, data);
  identify(data);
}

/** With owners and modes; a thousand small files, which Node copies one by one for as long as `initdb` takes. */
const copy = (from: string, to: string): Promise<unknown> => run('cp', ['-a', from, to]);

/** Where each segment of the WAL repeats the identity, in its first page's header (`xlp_sysid`). */
const IN_WAL = 24;

/**
 * Gives a copy a system identifier of its own, made as `initdb` makes it: the time, and what tells servers of one second
 * apart. It begins the control file, which ends with a checksum, and stands in every segment of the WAL.
 */
function identify(data: string): void {
  const file = join(data, 'global/pg_control');
  const control = readFileSync(file);
  const before = control.readBigUInt64LE(0);
  const checksum = checksumPlace(control);
  control.writeUInt32LE(randomInt(2 ** 32), 0);
  control.writeUInt32LE(Math.floor(Date.now() / 1000), 4);
  control.writeUInt32LE(crc32c(control.subarray(0, checksum)), checksum);
  writeFileSync(file, control);
  const wal = join(data, 'pg_wal');
  for (const name of readdirSync(wal).filter((one) => /^[0-9A-F]{24}$/.test(one))) {
    const segment = openSync(join(wal, name), 'r+');
    try {
      const there = Buffer.alloc(8);
      readSync(segment, there, 0, 8, IN_WAL);
      if (there.readBigUInt64LE() !== before) throw new Error(`${name} does not hold its server's identity.`);
      writeSync(segment, control, 0, 8, IN_WAL);
    } finally {
      closeSync(segment);
    }
  }
}

/** Each version keeps more in its control file: the checksum stands behind what it is the checksum of. */
function checksumPlace(control: Buffer): number {
  for (let at = 8; at + 4 <= control.length; at += 4)
    if (control.readUInt32LE(at) === crc32c(control.subarray(0, at))) return at;
  throw new Error('The control file has no checksum.');
}

/** Castagnoli's, as Postgres has it. */
function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '@planasonix/testing';
import { DoorTls, type TlsIdentity } from './tls.js';
import { authority } from './verify/ca-under-test.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function issued(): TlsIdentity {
  const { pem, key } = authority().issue({ dns: ['hooks.test'] });
  return { cert: pem, key: key.export({ format: 'pem', type: 'pkcs8' }) as string };
}

function inFiles() {
  const dir = tempDir('tls');
  const files = { cert: path.join(dir, 'cert.pem'), key: path.join(dir, 'key.pem') };
  const write = ({ cert, key }: Partial<TlsIdentity>) => {
    if (cert !== undefined) writeFileSync(files.cert, cert);
    if (key !== undefined) writeFileSync(files.key, key);
  };
  return { files, write };
}

/** @returns what a server was told to serve, while these things happened to the files, one before each look. */
async function served(tls: DoorTls, happening: readonly (() => void)[]): Promise<readonly unknown[]> {
  const [told, left]: [unknown[], (() => void)[]] = [[], [...happening]];
  const sleep = () => {
    const next = left.shift();
    next?.();
    return Promise.resolve(next !== undefined);
  };
  const clock = { now: () => 0, monotonic: () => 0, sleep };
  const server = { setSecureContext: (context: object) => void told.push(context) };
  await tls.keepRenewed(server, { clock, log: quiet, signal: new AbortController().signal });
  return told;
}

describe('the certificate of the door', () => {
  it('is served anew when its files were renewed, and not before all of them are', async () => {
    const { files, write } = inFiles();
    const [first, next] = [issued(), issued()];
    write(first);
    const tls = new DoorTls(files);
    const broken = () => write({ cert: '-----BEGIN CERTIFICATE-----' });
    const told = await served(tls, [() => {}, broken, () => write({ cert: next.cert }), () => write(next), () => {}]);
    expect(told).toEqual([next]);
    expect(tls.served).toEqual(next);
  });

  it('is wanted to be right before anything is served', () => {
    const { files, write } = inFiles();
    expect(() => new DoorTls(files)).toThrow('ENOENT');
    write({ cert: issued().cert, key: issued().key });
    expect(() => new DoorTls(files)).toThrow(/key values mismatch/i);
  });
});

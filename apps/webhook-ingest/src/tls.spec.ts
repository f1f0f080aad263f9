import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import path from 'node:path';
import { Server, type TLSSocket } from 'node:tls';
import { tempDir } from '@planasonix/testing';
import { received } from './answer.js';
import type { Ingest } from './ingest.js';
import { ingestServer } from './server.js';
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

/**
 * @param happening to the files, one thing before each look
 * @returns what a server was told to serve meanwhile
 */
async function served(
  tls: DoorTls,
  happening: readonly (() => void)[],
  others: readonly Server[] = [],
): Promise<readonly unknown[]> {
  const [told, left]: [unknown[], (() => void)[]] = [[], [...happening]];
  const sleep = () => {
    const next = left.shift();
    next?.();
    return Promise.resolve(next !== undefined);
  };
  const clock = { now: () => 0, monotonic: () => 0, sleep };
  const server = { setSecureContext: (context: object) => void told.push(context) };
  await tls.keepRenewed([server, ...others], { clock, log: quiet, signal: new AbortController().signal });
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

  it('a renewed one is shown to whoever connects from then on, who is asked for a certificate as before', async () => {
    const { files, write } = inFiles();
    const [first, next, client] = [issued(), issued(), issued()];
    write(first);
    const tls = new DoorTls(files);
    const shown: (string | undefined)[] = [];
    const answer = ({ socket }: { socket: TLSSocket }) => {
      shown.push(socket.getPeerX509Certificate()?.fingerprint256);
      return Promise.resolve(received('id', { events: null, eventId: null }));
    };
    const counted: string[] = [];
    const strays = { count: (kind: string) => void counted.push(kind) };
    const server = ingestServer({ answer } as unknown as Ingest, strays, tls.served);
    const { server: secure } = server;
    if (!(secure instanceof Server)) throw new Error('It does not end TLS');
    await server.listen({ host: '127.0.0.1', port: 0 });
    const { port } = server.server.address() as AddressInfo;
    /** @returns the certificate that the door has shown, on a connection that is new */
    const post = async (agent: Agent): Promise<string> => {
      const asked = request({ host: '127.0.0.1', port, method: 'POST', path: '/ingest/t', agent }).end('{}');
      const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream & { socket: TLSSocket }];
      const found = asked.reusedSocket ? 'open before' : answer.socket.getPeerX509Certificate()!.fingerprint256;
      await once(answer.resume(), 'end');
      return found;
    };
    const agent = () => new Agent({ keepAlive: true, rejectUnauthorized: false, ...client });
    const [old, young, fingerprint] = [
      agent(),
      agent(),
      ({ cert }: TlsIdentity) => new X509Certificate(cert).fingerprint256,
    ];
    try {
      expect(await post(old)).toBe(fingerprint(first));
      await served(tls, [() => write(next)], [secure]);
      expect(await post(young)).toBe(fingerprint(next));
      expect(await post(old)).toBe('open before');
      expect(shown).toEqual(Array(3).fill(fingerprint(client)));
      expect(counted).toEqual([]);
      const plain = connect(port, '127.0.0.1').on('error', () => undefined);
      plain.write('POST /ingest/t HTTP/1.1\r\n\r\n');
      await once(plain, 'close');
      expect(counted).toEqual(['tls_failed']);
    } finally {
      old.destroy();
      young.destroy();
      await server.close();
    }
  });
});

import { createServer, type AddressInfo } from 'node:net';
import pg from 'pg';
import { testConnection } from './connection-test.js';
import { clientConfig, openSession } from './session.js';

/** Another name for this machine, which is not known for it. */
const outbound = { resolve: () => Promise.resolve('0.0.0.0') };
const CLEARTEXT = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]);

/** A server that has no TLS and asks for the password in clear. */
async function startAsker() {
  const heard: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      heard.push(data);
      // SSLRequest, or the start of a session.
      if (data.length === 8) socket.write('N');
      else if (data[0] === 0) socket.write(CLEARTEXT);
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { port, heard: () => Buffer.concat(heard).toString('latin1'), close: () => server.close() };
}

describe('a server without TLS that asks for the password in clear', () => {
  const connectionTo = (port: number, more: object = {}) => ({
    ...{ id: 'conn_x', type: 'postgres' },
    config: { host: '127.0.0.1', port, database: 'd', user: 'u', password: 'secret-canary', ...more },
  });

  it('is given it only where somebody asked to go without TLS, or nobody can stand in between', async () => {
    const asker = await startAsker();
    const report = await testConnection(connectionTo(asker.port), outbound, AbortSignal.timeout(5_000));
    expect(report).toMatchObject({
      ok: false,
      checks: [{ code: 'tls_failed', fix: expect.stringContaining('sslMode') }],
    });
    await expect(openSession(connectionTo(asker.port), outbound, { name: 'x' })).rejects.toMatchObject({
      code: 'tls_failed',
    });
    expect(asker.heard()).not.toContain('secret-canary');
    const plain = connectionTo(asker.port, { sslMode: 'disable' });
    await testConnection(plain, outbound, AbortSignal.timeout(5_000));
    expect(asker.heard()).toContain('secret-canary');
    asker.close();
    const here = await startAsker();
    const toHere = { resolve: () => Promise.resolve('127.0.0.1') };
    await testConnection(connectionTo(here.port), toHere, AbortSignal.timeout(5_000));
    expect(here.heard()).toContain('secret-canary');
    here.close();
  });

  it('nor is it by the library that reads the log', async () => {
    const asker = await startAsker();
    const plain = await clientConfig(connectionTo(asker.port, { sslMode: 'disable' }), outbound, { name: 'x' });
    expect(plain).not.toHaveProperty('connection');
    const asked = clientConfig(connectionTo(asker.port), outbound, { name: 'x' });
    await expect(asked.then((config) => new pg.Client(config).connect())).rejects.toThrow('in clear');
    expect(asker.heard()).not.toContain('secret-canary');
    asker.close();
  });
});

import { databaseEndpoint } from './database-endpoint.js';
import type { ConnectionSettings } from './source.js';

const of = (config: Record<string, unknown>): ConnectionSettings =>
  ({ config: { host: 'db.example', user: 'reader', ...config } }) as unknown as ConnectionSettings;

describe('the endpoint of a database', () => {
  it('has what is left out by default', () => {
    expect(databaseEndpoint(of({}), 5432)).toEqual({
      ...{ host: 'db.example', port: 5432, database: null, user: 'reader', password: '', sslMode: 'prefer' },
      ...{ sslRootCert: null, sslCert: null, sslKey: null },
    });
  });

  it('takes keys in either casing', () => {
    const written = { ssl_mode: 'verify-ca', ssl_root_cert: 'PEM', database: 'shop', port: '6543' };
    const expected = { sslMode: 'verify-ca', sslRootCert: 'PEM', database: 'shop', port: 6543 };
    expect(databaseEndpoint(of(written), 5432)).toMatchObject(expected);
    expect(databaseEndpoint(of({ sslMode: 'verify-ca', sslRootCert: 'PEM' }), 5432)).toMatchObject({
      ...{ sslMode: 'verify-ca', sslRootCert: 'PEM' },
    });
  });

  it.each([
    [{ host: '' }, 'The connection has no host.'],
    [{ user: 7 }, 'The connection has no user.'],
    [{ sslMode: 'perhaps' }, 'The connection has no proper sslMode.'],
    [{ port: 70_000 }, 'The connection has no proper port.'],
    [{ port: 'x' }, 'The connection has no proper port.'],
  ])('refuses %p', (config, message) => {
    expect(() => databaseEndpoint(of(config), 5432)).toThrow(
      expect.objectContaining({ code: 'config_invalid', message }) as Error,
    );
  });
});

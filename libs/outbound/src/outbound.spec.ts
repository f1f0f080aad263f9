import fc from 'fast-check';
import { forbidden } from './address.js';
import { malformedHost } from './host.js';
import { createOutbound } from './outbound.js';

const names: Record<string, string[]> = {
  'db.example.com': ['93.184.216.34'],
  'inside.example.com': ['93.184.216.34', '10.0.0.5'],
  'rebind.example.com': ['169.254.169.254'],
};
const lookup = (host: string) =>
  names[host] ? Promise.resolve(names[host].map((address) => ({ address }))) : Promise.reject(new Error('ENOTFOUND'));
const open = createOutbound({ policy: 'allow-private' }, lookup);
const strict = createOutbound({ policy: 'public-only', reserved: [{ host: 'db.example.com', port: 5432 }] }, lookup);

describe('which hosts may be dialled (trap 34)', () => {
  it.each(['127.1', '0x7f000001', '2130706433', '0', '0177.0.0.1', '127.0.0.1.', '1', '0x7f.1'])(
    'refuses the notation %s',
    async (host) => {
      expect(malformedHost(host)).not.toBeNull();
      await expect(open.resolve(host)).rejects.toMatchObject({ code: 'host_forbidden' });
    },
  );

  it.each([
    '/var/run/postgresql',
    'db?host=127.0.0.1',
    'a@b',
    'a b',
    'a\0b',
    '',
    '-x',
    'x'.repeat(300),
    'a..b',
    '[::1',
  ])('refuses %j, which is no host', async (host) => {
    expect(await open.check(host)).not.toBeNull();
  });

  it.each([
    '169.254.169.254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '2002:a9fe:a9fe::1',
    'fe80::1',
    '0.0.0.0',
    '::',
    '224.0.0.1',
    'ff02::1',
    '255.255.255.255',
    'fd00:ec2::254',
    '100.100.100.200',
  ])('refuses %s under every policy', (address) => {
    expect(forbidden(address, 'allow-private')).not.toBeNull();
    expect(forbidden(address, 'public-only')).not.toBeNull();
  });

  it.each(['10.1.2.3', '127.0.0.1', '192.168.1.1', '172.16.0.1', '100.64.0.1', '::1', 'fd12::1', '::ffff:10.0.0.1'])(
    'takes %s by setting only',
    (address) => {
      expect(forbidden(address, 'allow-private')).toBeNull();
      expect(forbidden(address, 'public-only')).not.toBeNull();
    },
  );

  it('no notation of a private IPv4 address passes as public', () => {
    fc.assert(
      fc.property(fc.constantFrom(10, 127), fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(4), (a, b, c, d, form) => {
        const v4 = `${a}.${b}.${c}.${d}`;
        const hex = (x: number, y: number) => ((x << 8) | y).toString(16);
        const written = [
          v4,
          `::ffff:${v4}`,
          `::ffff:${hex(a, b)}:${hex(c, d)}`,
          `64:ff9b::${hex(a, b)}:${hex(c, d)}`,
          `2002:${hex(a, b)}:${hex(c, d)}::1`,
        ][form]!;
        return forbidden(written, 'public-only') !== null;
      }),
    );
  });

  it('checks every address that a name has, and answers the one that was checked', async () => {
    expect(await strict.resolve('db.example.com', 5433)).toBe('93.184.216.34');
    await expect(strict.resolve('inside.example.com')).rejects.toMatchObject({ code: 'host_forbidden' });
    await expect(open.resolve('rebind.example.com')).rejects.toMatchObject({ code: 'host_forbidden' });
    await expect(open.resolve('nowhere.example.com')).rejects.toMatchObject({ code: 'source_unreachable' });
  });

  it("never dials the system's own stores for a user in production", async () => {
    await expect(strict.resolve('db.example.com', 5432)).rejects.toMatchObject({ code: 'host_forbidden' });
  });
});

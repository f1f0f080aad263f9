import fc from 'fast-check';
import { forbidden } from './address.js';
import { malformedHost } from './host.js';
import { createOutbound } from './outbound.js';
import { endpointOf } from './own-stores.js';

const names: Record<string, string[]> = {
  'db.example.com': ['93.184.216.34'],
  'inside.example.com': ['93.184.216.34', '10.0.0.5'],
  'rebind.example.com': ['169.254.169.254'],
};
const lookup = (host: string) =>
  names[host] ? Promise.resolve(names[host].map((address) => ({ address }))) : Promise.reject(new Error('ENOTFOUND'));
const local = () => ['192.168.7.7', 'fe80::7'];
const open = createOutbound({ policy: 'allow-private' }, { lookup });
const strict = createOutbound(
  { policy: 'public-only', reserved: [{ host: 'db.example.com', port: 5432, database: 'meta' }] },
  { lookup, local },
);

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

  /** Every way to write an IPv4 address inside an IPv6 one, and every way to write that. */
  const written = fc
    .record({ form: fc.nat(5), upper: fc.boolean(), long: fc.boolean(), brackets: fc.boolean(), zone: fc.boolean() })
    .map((how) => (v4: readonly number[]): string => {
      const [hi, lo] = [(v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!];
      const dotted = v4.join('.');
      if (how.form === 0) return dotted;
      const groups = [
        [0, 0, 0, 0, 0, 0xffff, hi, lo],
        [0x64, 0xff9b, 0, 0, 0, 0, hi, lo],
        [0x2002, hi, lo, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0xffff, 0, hi, lo],
        [0x64, 0xff9b, 1, 0, 0, 0, hi, lo],
      ][how.form - 1]!;
      const hex = groups
        .map((group) => (how.long ? group.toString(16).padStart(4, '0') : group.toString(16)))
        .join(':');
      const tail = how.form !== 3 && how.long ? hex.replace(/:[^:]+:[^:]+$/, `:${dotted}`) : hex;
      const text = (how.upper ? tail.toUpperCase() : tail) + (how.zone ? '%1' : '');
      return how.brackets ? `[${text}]` : text;
    });
  const byte = fc.nat(255);

  it('no notation of a private IPv4 address is dialled under public-only (trap 34)', async () => {
    const inside = fc.oneof(
      fc.tuple(fc.constantFrom(10, 127, 0), byte, byte, byte),
      fc.tuple(fc.constant(172), fc.integer({ min: 16, max: 31 }), byte, byte),
      fc.tuple(fc.constant(192), fc.constant(168), byte, byte),
      fc.tuple(fc.constant(100), fc.integer({ min: 64, max: 127 }), byte, byte),
    );
    await fc.assert(
      fc.asyncProperty(inside, written, async (v4, write) => {
        await expect(strict.resolve(write(v4))).rejects.toMatchObject({ code: 'host_forbidden' });
        expect(await strict.check(write(v4))).not.toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  it('no notation of a forbidden IPv4 address is dialled under any policy (trap 34)', async () => {
    const never = fc.oneof(
      fc.tuple(fc.constant(169), fc.constant(254), byte, byte),
      fc.tuple(fc.constant(0), byte, byte, byte),
      fc.tuple(fc.integer({ min: 224, max: 255 }), byte, byte, byte),
      fc.constant([100, 100, 100, 200] as const),
    );
    await fc.assert(
      fc.asyncProperty(never, written, async (v4, write) => {
        await expect(open.resolve(write(v4))).rejects.toMatchObject({ code: 'host_forbidden' });
      }),
      { numRuns: 500 },
    );
  });

  it('no number, in any base and with any count of parts, is taken for an address (trap 34)', () => {
    const part = fc.tuple(fc.nat(0xffffffff), fc.constantFrom(10, 16, 8)).map(([n, base]) => {
      if (base === 16) return `0x${n.toString(16)}`;
      return base === 8 ? `0${n.toString(8)}` : String(n);
    });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), fc.constantFrom('', '.'), (parts, dot) => {
        const host = parts.join('.') + dot;
        const plain =
          parts.length === 4 && dot === '' && parts.every((one) => /^(0|[1-9]\d{0,2})$/.test(one) && Number(one) < 256);
        return plain || malformedHost(host) !== null;
      }),
    );
  });

  it('what passes is a host name or an address and nothing else, whatever is given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (host) => {
        const why = malformedHost(host);
        if (why === null) expect(host).toMatch(/^[A-Za-z0-9._:[\]%-]+$/);
        else await expect(open.resolve(host)).rejects.toMatchObject({ code: 'host_forbidden' });
      }),
    );
  });

  it.each(['fd00:ec2::254%eth0', 'FD00:0EC2::254', '::5', '64:ff9b:1::1', '1::1', 'fec0::1', '2001:db8::1', '2001::1'])(
    'refuses %s under every policy',
    async (address) => {
      await expect(open.resolve(address)).rejects.toMatchObject({ code: 'host_forbidden' });
    },
  );

  it.each(['2600:1f18::1', '93.184.216.34', '64:ff9b::5db8:d822'])('takes %s', async (address) => {
    expect(await strict.resolve(address)).toBe(address);
  });

  it('checks every address that a name has, and answers the one that was checked', async () => {
    expect(await strict.resolve('db.example.com', 5433)).toBe('93.184.216.34');
    await expect(strict.resolve('inside.example.com')).rejects.toMatchObject({ code: 'host_forbidden' });
    await expect(open.resolve('rebind.example.com')).rejects.toMatchObject({ code: 'host_forbidden' });
    await expect(open.resolve('nowhere.example.com')).rejects.toMatchObject({ code: 'source_unreachable' });
  });

  it('a name server that does not answer is a source that can not be reached, within a bound', async () => {
    const slow = createOutbound(
      { policy: 'allow-private' },
      { lookup: () => new Promise(() => undefined), lookupMs: 20 },
    );
    await expect(slow.resolve('db.example.com')).rejects.toMatchObject({ code: 'source_unreachable' });
    expect(await slow.check('db.example.com')).toBeNull();
  });
});

describe("the system's own stores", () => {
  const reserved = [endpointOf('postgres://u:p@127.0.0.1:5499/meta'), endpointOf('redis://cache.example.com')];
  const known = (host: string) =>
    host === 'cache.example.com' || host === 'alias.example.com'
      ? Promise.resolve([{ address: '10.9.9.9' }])
      : lookup(host);
  const laptop = createOutbound({ policy: 'allow-private', reserved }, { lookup: known, local });

  it('are found in their URLs', () => {
    expect(reserved).toEqual([
      { host: '127.0.0.1', port: 5499, database: 'meta' },
      { host: 'cache.example.com', port: 6379 },
    ]);
    expect(endpointOf('postgresql://me@[::1]')).toEqual({ host: '::1', port: 5432, database: 'me' });
    expect(endpointOf('postgres://u@h/a%20b').database).toBe('a b');
  });

  it('on one machine, another database of the same server is a source; the own one is not', async () => {
    expect(await laptop.check('127.0.0.1', 5499, 'src')).toBeNull();
    expect(await laptop.resolve('127.0.0.1', 5499, 'src')).toBe('127.0.0.1');
    for (const host of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1', '192.168.7.7'])
      await expect(laptop.resolve(host, 5499, 'meta')).rejects.toMatchObject({ code: 'host_forbidden' });
    expect(await laptop.check('127.0.0.1', 5498, 'meta')).toBeNull();
    expect(await laptop.check('192.168.7.8', 5499, 'meta')).toBeNull();
  });

  it('Redis is barred as a whole, under whichever name', async () => {
    for (const host of ['cache.example.com', 'CACHE.example.com', '10.9.9.9', 'alias.example.com'])
      expect(await laptop.check(host, 6379, 'x')).toMatch(/own stores/);
    expect(await laptop.check('cache.example.com', 6380)).toBeNull();
  });

  it('in production the whole server is barred, whatever the database', async () => {
    await expect(strict.resolve('db.example.com', 5432, 'src')).rejects.toMatchObject({ code: 'host_forbidden' });
    await expect(strict.resolve('db.example.com', 5432)).rejects.toMatchObject({ code: 'host_forbidden' });
  });
});

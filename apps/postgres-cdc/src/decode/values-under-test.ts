import fc from 'fast-check';

/** Text that is anything Postgres takes: no NUL, no lone surrogate. */
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }).map((s) => s.replaceAll('\0', '').toWellFormed()),
  fc.constantFrom(
    '',
    'NULL',
    '\\N',
    '"',
    '\\',
    '{}',
    '(,)',
    '\t\n\r\b\f',
    '\u0001\u001f',
    '\u007f',
    'ü€😀',
    '\u2028',
    "'",
    '{"a":1}',
    ' lead',
    'tail ',
  ),
  fc.string({ minLength: 3000, maxLength: 9000 }),
);
const int = (bits: bigint) => fc.bigInt({ min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n }).map(String);
const numeric = fc.oneof(
  fc
    .tuple(fc.boolean(), fc.stringMatching(/^[1-9][0-9]{0,60}$/), fc.stringMatching(/^[0-9]{0,40}$/))
    .map(([n, w, f]) => (n ? '-' : '') + w + (f ? `.${f}` : '')),
  fc.constantFrom('0', '0.00', '-0.10', 'NaN', '100000000000000000000000000000', '0.000000000000000000001'),
);
const float = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '-0', '1e300', '1e-300', '1.5e-7', '123456789012345680000', '5e-324'),
);
const stamp = fc.oneof(
  fc
    .date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true })
    .map((d) =>
      d.toISOString().replace(
        'Z',
        String(d.getTime() % 1000)
          .padStart(3, '0')
          .replace('-', '1'),
      ),
    ),
  fc.constantFrom(
    'infinity',
    '-infinity',
    '0044-03-15 12:00:00 BC',
    '12345-01-01 00:00:00',
    '2024-02-29 23:59:59.999999',
    '1999-12-31 23:59:60',
  ),
);
const json = fc
  .jsonValue({ maxDepth: 3 })
  .map((value) => JSON.stringify(value).replaceAll('\\u0000', ''))
  .filter((t) => {
    try {
      JSON.parse(t);
      return !/\\ud[89a-f]/i.test(t) && t.isWellFormed();
    } catch {
      return false;
    }
  });

const digits = (most: number, width: number) =>
  fc.integer({ min: 0, max: most }).map((n) => String(n).padStart(width, '0'));
const micros = fc.option(digits(999_999, 6), { nil: '' }).map((part) => (part === '' ? '' : `.${part}`));
const clock = fc.tuple(digits(23, 2), digits(59, 2), digits(59, 2), micros).map(([h, m, s, u]) => `${h}:${m}:${s}${u}`);
const day = fc
  .date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10));
const date = fc.oneof(day, fc.constantFrom('infinity', '-infinity', '0044-03-15 BC', '12345-01-01', '0001-01-01'));
const time = fc.oneof(clock, fc.constantFrom('24:00:00', '00:00:00', '23:59:59.999999'));
const zone = fc
  .tuple(fc.constantFrom('+', '-'), digits(14, 2), fc.constantFrom('', ':30', ':45', ':29:59'))
  .map((z) => z.join(''));
const signed = (most: number) => fc.integer({ min: -most, max: most });
const interval = fc.oneof(
  fc
    .tuple(signed(9999), signed(11), signed(1000), fc.boolean(), clock)
    .map(([y, m, d, n, at]) => `${y} years ${m} mons ${d} days ${n ? '-' : ''}${at}`),
  fc.constantFrom('-178000000 years', '00:00:00', '1 mon -1 day'),
);
const address = fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([ip, bits]) => `${ip}/${bits}`);
const octets = (n: number) =>
  fc.uint8Array({ minLength: n, maxLength: n }).map((bytes) =>
    Buffer.from(bytes)
      .toString('hex')
      .replace(/..(?=.)/g, '$&:'),
  );
const coordinate = fc.oneof(fc.integer({ min: -999, max: 999 }).map(String), fc.constantFrom('-0.5', '1e+20', '0.1'));
const spot = fc.tuple(coordinate, coordinate).map(([x, y]) => `(${x},${y})`);
const spots = (least: number) => fc.array(spot, { minLength: least, maxLength: 4 }).map((all) => all.join(','));

type Values = fc.Arbitrary<string>;
const quoted = (value: string) => `"${value.replace(/[\\"]/g, '\\$&')}"`;

/** Two ends in order, either of them open, closed or absent; empty now and then. */
function range(ends: fc.Arbitrary<bigint | string>, write: (end: bigint | string) => string = String): Values {
  const bounded = fc
    .tuple(
      ends,
      ends,
      fc.constantFrom('[', '('),
      fc.constantFrom(']', ')'),
      fc.constantFrom('both', 'both', 'low', 'high', 'none'),
    )
    .map(([one, other, open, close, has]) => {
      const [low, high] = one <= other ? [one, other] : [other, one];
      const from = has === 'both' || has === 'low' ? quoted(write(low)) : '';
      const to = has === 'both' || has === 'high' ? quoted(write(high)) : '';
      return `${open}${from},${to}${close}`;
    });
  return fc.oneof({ arbitrary: bounded, weight: 9 }, { arbitrary: fc.constant('empty'), weight: 1 });
}
const multirange = (of: Values): Values => fc.array(of, { maxLength: 3 }).map((all) => `{${all.join(',')}}`);

const whole = fc.bigInt({ min: -(1n << 30n), max: 1n << 30n });
const moment = fc.tuple(day, clock).map(([on, at]) => `${on} ${at}`);
const RANGES = {
  int4: range(whole),
  int8: range(fc.bigInt({ min: -(1n << 62n), max: 1n << 62n })),
  num: range(whole, (end) => `${end}.50`),
  ts: range(moment),
  tstz: range(moment, (end) => `${end}+00`),
  date: range(day),
} as const;

/** Any value of a type that is made of named fields. */
const composite = (...fields: readonly Values[]): Values =>
  fc
    .tuple(...fields.map((field) => fc.option(field, { freq: 4 })))
    .map((values) => `(${values.map((value) => (value === null ? '' : quoted(value))).join(',')})`);

/** Up to three dimensions, bounds that begin anywhere, NULLs, and every element in quotes or, where it can be, without. */
function array(element: Values, delimiter = ','): Values {
  const shape = fc.oneof(
    { arbitrary: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 1 }), weight: 3 },
    { arbitrary: fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 2, maxLength: 3 }), weight: 2 },
    { arbitrary: fc.constant([]), weight: 1 },
  );
  return shape.chain((sizes) => {
    const count = sizes.reduce((product, size) => product * size, sizes.length === 0 ? 0 : 1);
    const one = fc.option(fc.tuple(element, fc.boolean()), { freq: 5 });
    return fc
      .tuple(
        fc.array(one, { minLength: count, maxLength: count }),
        fc.option(fc.tuple(...sizes.map(() => fc.integer({ min: -3, max: 3 })))),
      )
      .map(([elements, lows]) => {
        const bare = (value: string) => /^[\w.+-]+$/.test(value) && value.toUpperCase() !== 'NULL';
        const texts = elements.map((of) => (of === null ? 'NULL' : of[1] && bare(of[0]) ? of[0] : quoted(of[0])));
        const bounds = lows === null ? '' : sizes.map((size, i) => `[${lows[i]!}:${lows[i]! + size - 1}]`).join('');
        const nest = (depth: number): string =>
          `{${Array.from({ length: sizes[depth]! }, () => (depth === sizes.length - 1 ? texts.shift()! : nest(depth + 1))).join(delimiter)}}`;
        return sizes.length === 0 ? '{}' : `${bounds && `${bounds}=`}${nest(0)}`;
      });
  });
}

const jsonb = fc.oneof(
  json,
  fc.constantFrom('1e400', '-0.0', '12345678901234567890.1234567890', '{"b":1,"a":2,"b":3}', '[1.50, 1e2]'),
);
const mood = fc.constantFrom('sad', 'so "so"', 'it\\s');
const positive = fc.oneof(fc.bigInt({ min: 1n, max: 10n ** 30n }).map(String), fc.constantFrom('1', '77.70', 'NaN'));
const names = array(text);
const hstore = fc
  .array(fc.tuple(text, fc.option(text)), { maxLength: 4 })
  .map((all) => all.map(([key, value]) => `${quoted(key)}=>${value === null ? 'NULL' : quoted(value)}`).join(', '));
const pair = fc.oneof(composite(int(32n), text), fc.constantFrom('(,)', '(5,"")', '(-1,"x,y(z)")'));

/** Column type → values, as text that is cast to it. Every built-in type that can be a column's. */
const SCALARS: Record<string, Values> = {
  smallint: int(16n),
  integer: int(32n),
  bigint: int(64n),
  numeric,
  'numeric(30,10)': fc.constantFrom('1', '-1.5', '12345678901234567890.0123456789', 'NaN'),
  real: fc.oneof(
    fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.constantFrom('NaN', '-Infinity', '1e-30', '3.4e38'),
  ),
  'double precision': float,
  boolean: fc.constantFrom('t', 'f'),
  text,
  varchar: text,
  'char(12)': fc.stringMatching(/^[a-zé"\\ ]{0,12}$/),
  '"char"': fc.constantFrom('a', '"', '\\', ' '),
  name: fc.stringMatching(/^[a-z"\\]{0,20}$/),
  bytea: fc.uint8Array({ maxLength: 40 }).map((b) => `\\x${Buffer.from(b).toString('hex')}`),
  uuid: fc.uuid(),
  json,
  jsonb,
  jsonpath: fc.constantFrom('$', 'strict $."a b"[*] ? (@.c > 1.50 && @ like_regex "^\\"x")', 'lax $.a.size()'),
  date,
  timestamp: stamp,
  timestamptz: stamp,
  time,
  timetz: fc.tuple(time, zone).map((parts) => parts.join('')),
  interval,
  money: fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n }).map((cents) => `${cents}.${cents < 0n ? 0 : 9}5`),
  inet: fc.oneof(address, fc.ipV6(), fc.constantFrom('127.0.0.1', '::1/128')),
  cidr: fc.oneof(fc.ipV4(), fc.constantFrom('10.0.0.0/8', '2001:db8::/32')),
  macaddr: octets(6),
  macaddr8: octets(8),
  'bit(5)': fc.stringMatching(/^[01]{5}$/),
  varbit: fc.stringMatching(/^[01]{0,20}$/),
  xml: fc.constantFrom('<a b="c">d &amp; "e"</a>', ''),
  tsvector: fc.constantFrom("'a':1 'b c':2A", ''),
  tsquery: fc.constantFrom("'a' & 'b'", "'it''s' <-> ( 'c' | !'d' )"),
  point: spot,
  box: fc.tuple(spot, spot).map((ends) => ends.join(',')),
  path: fc.tuple(fc.boolean(), spots(1)).map(([open, all]) => (open ? `[${all}]` : `(${all})`)),
  circle: spot.map((center) => `<${center},1.5>`),
  lseg: fc.tuple(spot, spot).map((ends) => `[${ends.join(',')}]`),
  line: coordinate.map((c) => `{1,-1,${c}}`),
  polygon: spots(1).map((all) => `(${all})`),
  oid: fc.integer({ min: 0, max: 4_294_967_295 }).map(String),
  xid: fc.integer({ min: 0, max: 4_294_967_295 }).map(String),
  xid8: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(String),
  cid: fc.constantFrom('0', '4294967295'),
  regclass: fc.constantFrom('pg_class', 'pg_type', '7'),
  regtype: fc.constantFrom('integer', 'text'),
  regproc: fc.constantFrom('now', '7'),
  regprocedure: fc.constantFrom('abs(integer)'),
  regoper: fc.constantFrom('||/'),
  regoperator: fc.constantFrom('+(integer,integer)'),
  regrole: fc.constantFrom('postgres'),
  regnamespace: fc.constantFrom('pg_catalog'),
  regconfig: fc.constantFrom('english'),
  regdictionary: fc.constantFrom('english_stem'),
  regcollation: fc.constantFrom('"C"'),
  aclitem: fc.constantFrom('postgres=r*w/postgres', '=r/postgres'),
  refcursor: text,
  pg_snapshot: fc.constantFrom('10:20:10,14,15'),
  txid_snapshot: fc.constantFrom('10:20:10,14,15'),
  pg_lsn: fc.constantFrom('16/B374D848', 'FFFFFFFF/FFFFFFFF'),
  tid: fc.constantFrom('(1,2)', '(4294967295,65535)'),
  int2vector: fc.constantFrom('1 2 3', '-5', ''),
  oidvector: fc.constantFrom('1 4294967295', ''),
  ...Object.fromEntries(Object.entries(RANGES).map(([of, values]) => [`${of}range`, values])),
  ...Object.fromEntries(Object.entries(RANGES).map(([of, values]) => [`${of}multirange`, multirange(values)])),
  mood,
  positive,
  names,
  pair,
  nested: composite(pair, array(int(32n)), fc.constantFrom('t', 'f'), stamp),
  mixed: composite(json, jsonb, hstore, mood, positive, names, RANGES.tstz, array(pair)),
  hstore,
};

/** Types of extensions that not every server brings, by extension. */
export const EXTENSIONS: Readonly<Record<string, Values>> = {
  citext: text,
  ltree: fc.array(fc.stringMatching(/^[A-Za-z0-9_]{1,8}$/), { maxLength: 4 }).map((labels) => labels.join('.')),
  cube: spot,
};

/** The types, and arrays of each. */
export const columnsOf = (extensions: readonly string[]): Readonly<Record<string, Values>> => {
  const all = Object.entries({
    ...SCALARS,
    ...Object.fromEntries(extensions.map((name) => [name, EXTENSIONS[name]!])),
  });
  return Object.fromEntries([
    ...all,
    ...all.map(([type, values]) => [`${type}[]`, array(values, type === 'box' ? ';' : ',')] as const),
  ]);
};

/** Built-in types that no column's value can be given for: their input functions refuse everything. */
export const WITHOUT_INPUT: ReadonlySet<string> = new Set([
  ...['gtsvector', 'pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list'],
  ...['pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary'],
]);

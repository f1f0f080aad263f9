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

/** Column type → values, as text that is cast to it. */
const SCALARS: Record<string, fc.Arbitrary<string>> = {
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
  jsonb: fc.oneof(
    json,
    fc.constantFrom('1e400', '-0.0', '12345678901234567890.1234567890', '{"b":1,"a":2,"b":3}', '[1.50, 1e2]'),
  ),
  date: fc.constantFrom('2024-02-29', 'infinity', '-infinity', '0044-03-15 BC', '12345-01-01', '0001-01-01'),
  timestamp: stamp,
  timestamptz: stamp,
  time: fc.constantFrom('00:00:00', '23:59:59.999999', '24:00:00'),
  timetz: fc.constantFrom('12:00:00+05:30', '00:00:00.5-12', '23:59:59+00'),
  interval: fc.constantFrom('1 year 2 mons -3 days 04:05:06.789', '-178000000 years', '00:00:00', '1 mon -1 day'),
  money: fc.constantFrom('$1,234.56', '-$0.01'),
  inet: fc.constantFrom('127.0.0.1', '::1/128', '10.0.0.0/8'),
  cidr: fc.constantFrom('10.0.0.0/8', '2001:db8::/32'),
  macaddr: fc.constantFrom('08:00:2b:01:02:03'),
  macaddr8: fc.constantFrom('08:00:2b:01:02:03:04:05'),
  'bit(5)': fc.stringMatching(/^[01]{5}$/),
  varbit: fc.stringMatching(/^[01]{0,20}$/),
  xml: fc.constantFrom('<a b="c">d &amp; "e"</a>', ''),
  tsvector: fc.constantFrom("'a':1 'b c':2A", ''),
  tsquery: fc.constantFrom("'a' & 'b'"),
  point: fc.constantFrom('(1,2)', '(-0.5,1e+20)'),
  box: fc.constantFrom('(1,1),(0,0)'),
  path: fc.constantFrom('((0,0),(1,1))', '[(0,0),(1,1)]'),
  circle: fc.constantFrom('<(0,0),1>'),
  lseg: fc.constantFrom('[(0,0),(1,1)]'),
  line: fc.constantFrom('{1,-1,0}'),
  polygon: fc.constantFrom('((0,0),(1,0),(1,1))'),
  oid: fc.constantFrom('0', '4294967295'),
  regclass: fc.constantFrom('pg_class', 'pg_type'),
  regtype: fc.constantFrom('integer', 'text'),
  xid: fc.constantFrom('4294967295'),
  pg_lsn: fc.constantFrom('16/B374D848'),
  tid: fc.constantFrom('(1,2)'),
  int2vector: fc.constantFrom('1 2 3', '-5', ''),
  oidvector: fc.constantFrom('1 4294967295', ''),
  int4range: fc.constantFrom('[1,5)', 'empty', '(,)'),
  tstzrange: fc.constantFrom('["2024-01-01 00:00:00+00","2024-02-01 00:00:00+00")'),
  numrange: fc.constantFrom('(1.5,2.50]'),
  int4multirange: fc.constantFrom('{[1,3),[5,7)}', '{}'),
  mood: fc.constantFrom('sad', 'so "so"', 'it\\s'),
  positive: fc.constantFrom('1', '77.70'),
  names: fc.constantFrom('{a,NULL,"b c"}'),
  pair: fc.constantFrom('(1,"a ""b"" \\\\c")', '(,)', '(5,"")', '(-1,"x,y(z)")'),
  nested: fc.constantFrom('("(1,a)","{1,NULL}",t,"2024-01-01 00:00:00")', '(,,,)', '("(,""q"")",{},,infinity)'),
  hstore: fc.constantFrom('"a"=>"1", "b c"=>NULL, "q\\"x"=>"\\\\"', ''),
};
const ARRAYS: Record<string, fc.Arbitrary<string>> = {
  'integer[]': fc.constantFrom('{}', '{1,NULL,-3}', '{{1,2},{3,4}}', '[0:1]={7,8}', '[-2:-1][5:6]={{1,2},{3,4}}'),
  'text[]': fc.constantFrom('{"NULL",NULL,"a\\"b\\\\c","",d,"x,y","{z}"," s "}', '{{a},{"b b"}}', '{ü,"€ €"}'),
  'jsonb[]': fc.constantFrom('{"{\\"a\\": [1, 2.50]}",NULL,"\\"x\\""}', '{}'),
  'box[]': fc.constantFrom('{(1,1),(0,0);(2,2),(1,1)}'),
  'boolean[]': fc.constantFrom('{t,f,NULL}'),
  'numeric[]': fc.constantFrom('{1.50,NaN,NULL}'),
  'float8[]': fc.constantFrom('{1e-10,Infinity,1e25}'),
  'timestamptz[]': fc.constantFrom('{"2024-01-01 00:00:00+00",infinity,"0044-03-15 00:00:00+00 BC"}'),
  'pair[]': fc.constantFrom('{"(1,\\"a b\\")",NULL,"(,)"}'),
  'mood[]': fc.constantFrom('{sad,"so \\"so\\""}'),
  'positive[]': fc.constantFrom('{1,2.5}'),
  'bytea[]': fc.constantFrom('{"\\\\x00ff"}'),
  'uuid[]': fc.constantFrom('{00000000-0000-0000-0000-000000000001}'),
};
export const COLUMNS = { ...SCALARS, ...ARRAYS };

import fc from 'fast-check';

/** A column with values for it, as SQL. */
export interface Column {
  readonly declared: string;
  readonly value: fc.Arbitrary<string>;
}

const hex = (text: string): string => Buffer.from(text).toString('hex');
const utf8 = (text: string): string => `CONVERT(X'${hex(text)}' USING utf8mb4)`;
const bytes = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength: length }).map((value) => `X'${Buffer.from(value).toString('hex')}'`);
const integers = (min: bigint, max: bigint): fc.Arbitrary<string> =>
  fc.oneof(fc.constantFrom(min, max, 0n, 1n), fc.bigInt({ min, max })).map(String);
/** Where a double begins not to know each one. */
const BESIDE_SAFE = fc.bigInt({ min: 2n ** 53n - 64n, max: 2n ** 53n + 64n }).map(String);
const decimals = (whole: number, scale: number): fc.Arbitrary<string> => {
  const most = 10n ** BigInt(whole + scale) - 1n;
  return fc.oneof(fc.constantFrom(most, -most, 0n, 1n, -1n), fc.bigInt({ min: -most, max: most })).map((value) => {
    const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0');
    const sign = value < 0n ? '-' : '';
    return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
  });
};

const digits = (value: number, width: number): string => String(value).padStart(width, '0');
const fraction = fc.nat(999_999).map((value) => `.${digits(value, 6)}`);
const dates = fc
  .tuple(fc.constantFrom(0, 1, 1970, 2024, 9999), fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 31 }))
  .map(([year, month, day]) => `${digits(year, 4)}-${digits(month, 2)}-${digits(day, 2)}`);
const clock = fc
  .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fraction)
  .map(([h, m, s, part]) => `${digits(h, 2)}:${digits(m, 2)}:${digits(s, 2)}${part}`);
const dateTimes = fc.tuple(dates, clock).map(([date, time]) => `'${date} ${time}'`);
const timestamps = fc.oneof(
  fc.constantFrom("'0000-00-00 00:00:00'", "'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.499999'"),
  fc
    .tuple(fc.integer({ min: 1, max: 2_147_483_000 }), fraction)
    .map(([s, part]) => `'${new Date(s * 1000).toISOString().slice(0, 19).replace('T', ' ')}${part}'`),
);
const times = fc.oneof(
  fc.constantFrom("'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:00.000001'", "'-00:00:01.5'"),
  fc
    .tuple(fc.constantFrom('', '-'), fc.nat(837), fc.nat(59), fc.nat(59), fraction)
    .map(([sign, h, m, s, part]) => `'${sign}${digits(h, 2)}:${digits(m, 2)}:${digits(s, 2)}${part}'`),
);
/** Where servers change from digits to an exponent, few and many digits. */
const aroundExponents = fc
  .tuple(fc.constantFrom('', '-'), fc.integer({ min: 1, max: 9 }), fc.nat(999), fc.integer({ min: 0, max: 17 }))
  .chain(([sign, first, some, length]) =>
    fc
      .oneof(fc.integer({ min: -17, max: -13 }), fc.integer({ min: 13, max: 18 }))
      .map(
        (power) => `${sign}${Number(`${first}.${String(some).repeat(6).slice(0, length)}e${power}`).toExponential()}`,
      ),
  );
const doubles = fc.oneof(
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .map((value) => (Object.is(value, -0) ? '-0e0' : value.toExponential())),
  aroundExponents,
);
const floats = fc.oneof(
  { arbitrary: fc.constant('-0e0'), weight: 1 },
  { arbitrary: fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential()), weight: 9 },
);
const text = (length: number, alphabet: string): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), maxLength: length }).map(utf8);
const any = (length: number): fc.Arbitrary<string> =>
  fc
    .string({ unit: 'grapheme', maxLength: length })
    .filter((value) => value.isWellFormed() && [...value].length <= length)
    .map(utf8);
const PLAIN = ' aZ09"\\\'/\b\t\n\r\u0001\u001f\u007f';

export const COMMON: readonly Column[] = [
  { declared: 'TINYINT', value: integers(-128n, 127n) },
  { declared: 'TINYINT UNSIGNED', value: integers(0n, 255n) },
  { declared: 'SMALLINT', value: integers(-32768n, 32767n) },
  { declared: 'MEDIUMINT', value: integers(-8388608n, 8388607n) },
  { declared: 'MEDIUMINT UNSIGNED', value: integers(0n, 16777215n) },
  { declared: 'YEAR', value: fc.constantFrom('0', '1901', '2024', '2155') },
  { declared: 'INT', value: integers(-2147483648n, 2147483647n) },
  { declared: 'INT UNSIGNED ZEROFILL', value: integers(0n, 4294967295n) },
  { declared: 'BIGINT', value: fc.oneof(integers(-(2n ** 63n), 2n ** 63n - 1n), BESIDE_SAFE) },
  { declared: 'BIGINT UNSIGNED', value: fc.oneof(integers(0n, 2n ** 64n - 1n), BESIDE_SAFE) },
  { declared: 'BIT(1)', value: fc.constantFrom("b'0'", "b'1'") },
  { declared: 'BIT(13)', value: fc.nat(8191).map(String) },
  { declared: 'BIT(64)', value: integers(0n, 2n ** 64n - 1n) },
  { declared: 'SMALLINT UNSIGNED', value: integers(0n, 65535n) },
  { declared: 'DECIMAL(65,30)', value: decimals(35, 30) },
  { declared: 'DECIMAL(10,0)', value: decimals(10, 0) },
  { declared: 'DECIMAL(9,9)', value: decimals(0, 9) },
  { declared: 'DECIMAL(20,3) ZEROFILL', value: decimals(17, 3).map((value) => value.replace('-', '')) },
  {
    declared: 'GEOMETRY',
    value: fc.tuple(fc.nat(9), fc.nat(9)).map(([x, y]) => `ST_GeomFromText('LINESTRING(${x} ${y},${y} 3)', 0)`),
  },
  { declared: 'FLOAT', value: floats },
  { declared: 'FLOAT(9,3)', value: decimals(6, 3) },
  { declared: 'DOUBLE', value: doubles },
  { declared: 'DATE', value: dates.map((date) => `'${date}'`) },
  { declared: 'DATETIME', value: dateTimes },
  { declared: 'DATETIME(3)', value: dateTimes },
  { declared: 'DATETIME(6)', value: dateTimes },
  { declared: 'TIMESTAMP NULL', value: timestamps },
  { declared: 'TIMESTAMP(1) NULL', value: timestamps },
  { declared: 'TIMESTAMP(6) NULL', value: timestamps },
  { declared: 'TIME', value: times },
  { declared: 'TIME(1)', value: times },
  { declared: 'TIME(4)', value: times },
  { declared: 'TIME(6)', value: times },
  { declared: 'CHAR(10) CHARACTER SET latin1', value: text(10, `${PLAIN}é€\u0081ÿ`) },
  { declared: 'VARCHAR(40) CHARACTER SET utf8mb4', value: any(40) },
  { declared: 'VARCHAR(300) CHARACTER SET utf8mb3', value: text(300, `${PLAIN}é漢`) },
  { declared: 'CHAR(100) CHARACTER SET utf8mb4', value: text(90, `${PLAIN}😀漢`) },
  { declared: 'TEXT CHARACTER SET gbk', value: text(50, `${PLAIN}中文漢€`) },
  { declared: 'VARCHAR(20) CHARACTER SET big5', value: text(20, `${PLAIN}中文漢`) },
  { declared: 'VARCHAR(20) CHARACTER SET sjis', value: text(20, `${PLAIN}日本ｱ`) },
  { declared: 'VARCHAR(20) CHARACTER SET ujis', value: text(20, `${PLAIN}日本ｱ丂`) },
  { declared: 'VARCHAR(20) CHARACTER SET euckr', value: text(20, `${PLAIN}한국`) },
  { declared: 'VARCHAR(20) CHARACTER SET utf16', value: any(20) },
  { declared: 'CHAR(20) CHARACTER SET utf16le', value: text(20, `${PLAIN}漢😀`) },
  { declared: 'CHAR(20) CHARACTER SET ucs2', value: text(20, `${PLAIN}漢é`) },
  { declared: 'VARCHAR(20) CHARACTER SET utf32', value: any(20) },
  { declared: 'VARCHAR(20) CHARACTER SET cp1251', value: text(20, `${PLAIN}Жя№`) },
  { declared: 'VARCHAR(20) CHARACTER SET koi8r COLLATE koi8r_bin', value: text(20, `${PLAIN}Жя`) },
  { declared: 'BINARY(7)', value: bytes(7) },
  { declared: 'BINARY(255)', value: bytes(255) },
  { declared: 'VARBINARY(300)', value: bytes(300) },
  { declared: 'TINYBLOB', value: bytes(60) },
  { declared: 'LONGBLOB', value: bytes(400) },
  {
    declared: "ENUM('a','é','c\"d','') CHARACTER SET latin1",
    value: fc.constantFrom("'a'", utf8('é'), `'c"d'`, "''", "'none'"),
  },
  { declared: "SET('a','ü','x y') CHARACTER SET latin1", value: fc.nat(7).map(String) },
  { declared: "SET('','x')", value: fc.nat(3).map(String) },
  { declared: "SET('it''s','a\\\\b','c\"d','new\\nline')", value: fc.nat(15).map(String) },
  { declared: "ENUM('it''s','a\\\\b','new\\nline')", value: fc.nat(3).map(String) },
  {
    declared: `SET(${Array.from({ length: 64 }, (_, i) => `'m${i}'`).join(',')})`,
    value: integers(0n, 2n ** 64n - 1n),
  },
];

/** A number in JSON as both servers take it. */
const jsonNumber = fc.oneof(
  integers(-(2n ** 63n), 2n ** 64n - 1n),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential()),
  aroundExponents,
);
const jsonDocument = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    jsonNumber,
    fc.constantFrom('null', 'true', 'false', '"plain"', '""'),
    fc
      .string({ unit: 'grapheme' })
      .filter((one) => one.isWellFormed())
      .map((one) => JSON.stringify(one)),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
    fc
      .uniqueArray(fc.tuple(fc.string({ unit: 'grapheme-ascii', maxLength: 6 }), tie('value')), {
        maxLength: 4,
        selector: ([name]) => name,
      })
      .map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`),
  ),
})).value;

export const OF_MARIADB: readonly Column[] = [
  { declared: 'UUID', value: fc.uuid().map((one) => `'${one}'`) },
  {
    declared: 'INET6',
    value: fc.oneof(
      fc.ipV6().map((one) => `'${one}'`),
      fc.constantFrom("'::'", "'::1'", "'::ffff:1.2.3.4'", "'::1.2.3.4'", "'1::'", "'1:0:0:2::'"),
    ),
  },
  { declared: 'INET4', value: fc.ipV4().map((one) => `'${one}'`) },
  { declared: 'BINARY(16)', value: bytes(16) },
  { declared: 'JSON', value: jsonDocument.map((one) => `CONVERT(X'${hex(` ${one} `)}' USING utf8mb4)`) },
  { declared: 'VARCHAR(20) CHARACTER SET eucjpms', value: text(20, `${PLAIN}日本ｱ`) },
];

export const OF_MYSQL: readonly Column[] = [
  { declared: 'VECTOR(3)', value: fc.constantFrom("STRING_TO_VECTOR('[1,2.5,-3]')", "STRING_TO_VECTOR('[0,0,0]')") },
  { declared: 'JSON', value: jsonDocument.map((one) => `CAST(CONVERT(X'${hex(one)}' USING utf8mb4) AS JSON)`) },
  {
    declared: 'JSON',
    value: fc.oneof(
      decimals(35, 30).map((one) => `JSON_ARRAY(CAST(${one} AS DECIMAL(65,30)))`),
      fc.constantFrom(
        "JSON_OBJECT('d', DATE '2024-02-29', 't', TIME '-12:34:56.5', 'm', TIMESTAMP '2024-02-29 01:02:03.000004')",
        "JSON_ARRAY(X'00ff10', CAST('x' AS BINARY(70)))",
        "JSON_ARRAY(b'101', 1.50, 1e0, 100000000000000000000.0, -0e0)",
        'JSON_OBJECT()',
      ),
    ),
  },
  {
    declared: 'JSON',
    value: fc
      .integer({ min: 0, max: 300 })
      .map((n) => `CAST(CONCAT('[', REPEAT('"${'x'.repeat(250)}",', ${n}), '70000, -40000, 1]') AS JSON)`),
  },
];

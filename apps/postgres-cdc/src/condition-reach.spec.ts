import { conditionReach } from './condition-reach.js';
import { conditionProblem } from './condition.js';

const named = (...names: string[]) => names.map((name) => ({ name }));
const users = {
  schema: 'public',
  table: 'users',
  columns: named('id', 'note', 'State', 'état', 'tags', 'doc', 'at', 'paid_on', 'name', 'year', 'addr', 'pass'),
  excluded: new Set(['password_hash', 'ÉTAT', 'day', 'text']),
};

/** What the server would have taken, or might in another version; each with what gives it away. */
const ATTACKS: readonly (readonly [string, string, string])[] = [
  ['the column itself', `password_hash LIKE 'a%'`, 'password_hash'],
  ['folded', `PASSWORD_hash LIKE 'a%'`, 'password_hash'],
  ['quoted', `"password_hash" LIKE 'a%'`, 'password_hash'],
  ['of its table', `users.password_hash = 'a'`, 'password_hash'],
  ['of its table and schema', `public . "users" . password_hash = 'a'`, 'password_hash'],
  ['spelt by code points', String.raw`U&"pass\0077ord_hash" LIKE 'a%'`, 'U&'],
  ['spelt with another escape', `u&"pass!0077ord_hash" UESCAPE '!' LIKE 'a%'`, 'U&'],
  ['a string with another escape', `note = U&'d!0061t!+000061' UESCAPE '!'`, 'U&'],
  ['letters beyond ASCII that only we would fold', `ÉTAT = 'x'`, 'tat, which'],
  ['letters beyond ASCII that only the server folds', `État = 'x'`, 'tat, which'],
  ['a hidden name that is a keyword', `day = 1`, 'day'],
  ['a hidden name that is a type', `text LIKE 'a%'`, 'text'],
  ['right behind a number', `id > 1and password_hash = 'a'`, 'password_hash'],
  ['right behind a prefix', `e"password_hash" = 'a'`, 'e'],
  ['a system column', `xmin::text = '1'`, 'xmin'],
  ['the whole row', `users::text LIKE '%x%'`, 'users'],
  ['the whole row, compared', `users > ('a', 'b')`, 'users'],
  ['the whole row, spread', `(users.*)::text LIKE '%x%'`, 'whole rows'],
  ['the whole row of a qualified name', `(public.users.*) IS NULL`, 'whole rows'],
  ['the row as an argument', `length(users) > 1`, 'users'],
  ['a field of the row', `(users).password_hash = 'a'`, 'users'],
  ['a function in the place of a field', `users.row_to_json IS NULL`, 'row_to_json'],
  ['a query', 'id IN (SELECT o.id FROM other o)', 'select'],
  ['a query for existence', 'EXISTS (SELECT 1 FROM other)', 'exists'],
  ['a query for an array', '1 = ANY (ARRAY(SELECT id FROM other))', 'array'],
  ['a table', 'id IN (TABLE other)', 'table'],
  ['values', 'id IN (VALUES (1))', 'values'],
  ['a named query', 'id IN (WITH x AS (SELECT 1) SELECT * FROM x)', 'with'],
  ['a query in a string', `query_to_xml('select 1', true, true, '')::text LIKE '%x%'`, 'query_to_xml'],
  ['a table in a string', `table_to_xml('users', true, true, '')::text LIKE '%x%'`, 'table_to_xml'],
  ['a file', `pg_read_file('/etc/passwd') LIKE '%root%'`, 'pg_read_file'],
  ['a file, qualified', `pg_catalog.pg_read_file('/etc/passwd') LIKE '%root%'`, 'pg_read_file'],
  ['a file, quoted', `"pg_catalog"."pg_read_file"('/etc/passwd') LIKE '%root%'`, 'pg_read_file'],
  ['a large object', 'lo_get(16385) IS NULL', 'lo_get'],
  ['a session', 'pg_terminate_backend(id)', 'pg_terminate_backend'],
  ['a slot', `pg_drop_replication_slot('s') IS NULL`, 'pg_drop_replication_slot'],
  ['time', 'pg_sleep(10) IS NULL', 'pg_sleep'],
  ['a lock', 'pg_try_advisory_lock(1)', 'pg_try_advisory_lock'],
  ['a sequence', `nextval('s') > 1`, 'nextval'],
  ['a setting', `current_setting('data_directory') LIKE '/%'`, 'current_setting'],
  ['a setting, changed', `set_config('role', 'x', false) = 'x'`, 'set_config'],
  ['who asks', `current_user = 'postgres'`, 'current_user'],
  ["somebody's own function", 'shop.mine(id)', 'shop'],
  ['one that is named like a keyword', `"in"(id)`, 'in'],
  ['one that is named like a type', `"text"(id) = '1'`, 'text'],
  ["somebody's own under a known name", 'public.lower(note) = 1', 'lower'],
  ['an aggregate', 'count(*) > 1', 'count'],
  ['a window', 'row_number() OVER () > 1', 'row_number'],
  ['a row', 'ROW(id, note) IS NULL', 'row'],
  ["somebody's own operator", 'id OPERATOR(shop.===) 5', 'operator'],
  ['an operator by its characters', 'id === 5', '==='],
  ['one that ends in a sign', 'id @- 5', '@-'],
  ['a name of the catalog', `'pg_authid'::regclass IS NOT NULL`, 'regclass'],
  ['a name of the catalog, by CAST', `CAST('pg_authid' AS regclass) IS NOT NULL`, 'regclass'],
  ['a name of the catalog, before a string', `regclass 'pg_authid' IS NOT NULL`, 'regclass'],
  ['a column in the place of a type', `name 'x' = 'x'`, 'name'],
  ['a type of a schema', `note::shop.spy IS NULL`, 'shop'],
  ['a quoted type', `note::"text" = 'x'`, 'text'],
  ['XML', `note::xml IS NULL`, 'xml'],
  ['a collation', `note < 'x' COLLATE shop.mine`, 'collate'],
  ['a name of 64 bytes that the server cuts', `"${'n'.repeat(64)}" = 1`, 'nnn'],
];

describe('what a condition may ask for', () => {
  it.each(ATTACKS)('not %s: %s', (_what, text, gives) => {
    expect(conditionProblem(text) ?? conditionReach(text, users)?.problem).toContain(gives);
  });

  it.each([
    `note = 'select password_hash from users'`,
    `"State" = 'x' AND "état" IS NOT NULL`,
    `users.id > 5 OR public.users.id=-1`,
    `id IN (1, 2) AND NOT (note LIKE 'a;b)%' ESCAPE '!')`,
    `(id, note) > (5, E'O\\'Brien')`,
    `paid_on >= DATE '2025-01-01' AND at < TIMESTAMP WITH TIME ZONE '2025-01-01 00:00+00'`,
    `at > now() - interval '1 day' AND at::timestamp with time zone AT TIME ZONE 'UTC' < current_date`,
    `extract(year FROM paid_on) = 2025 AND date_trunc('month', at) = to_date('2025', 'YYYY')`,
    `lower(trim(both ' ' from note)) = pg_catalog.upper(left(name, 3)) AND substring(note from 1 for 2) <> ''`,
    `doc->'a'->>'b' = 'x' AND doc @> '{"k":1}' AND doc ? 'k' AND jsonb_typeof(doc #> '{a}') = 'object'`,
    `tags[1] = 'x' OR tags[1:2] && ARRAY['y']::varchar(10)[] OR 'z' = ANY (tags) OR cardinality(tags) > 0`,
    `CASE WHEN id % 2 = 0 THEN true ELSE coalesce(note, '') ~* '^[a-z]+$' END`,
    `CAST(note AS numeric(10,2)) * 1.5e3 >= .5 AND note::double precision < 2`,
    `year BETWEEN 2020 AND 2025 AND name IS DISTINCT FROM 'x'`,
    `mod(abs(id), 10) = 3 AND length(pass) > 1 AND b'101' = b'101'`,
  ])('of the table that it reads, and any text: %s', (text) => {
    expect([conditionProblem(text), conditionReach(text, users)]).toEqual([null, null]);
  });

  it('says what may be called, and what may not', () => {
    expect(conditionReach('pg_sleep(1) IS NULL', users)).toEqual({
      problem: 'calls pg_sleep, which is no function that a condition may call',
      fix: expect.stringMatching(/^Functions: abs, .*coalesce.*\.$/),
    });
  });

  it('tells a hidden column and one that is not there apart by nothing', () => {
    const said = (name: string) => conditionReach(`${name} = 1`, users)!.problem.replace(name, '…');
    expect(said('password_hash')).toBe(said('nope'));
  });

  it("takes a column that bears the table's name for the column, as the server does", () => {
    const same = { ...users, columns: named('users'), excluded: new Set<string>() };
    expect(conditionReach(`users = 'x' AND users.users = 'y'`, same)).toBeNull();
    expect(conditionReach(`users = 'x'`, { ...same, columns: named('id') })).not.toBeNull();
  });
});

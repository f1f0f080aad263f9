import { MASK, splitSecrets } from './secrets.js';

const text = { type: 'string' };
const secret = { type: 'string', writeOnly: true };
const user = { type: 'object', properties: { username: text, role: text, password: secret } };
const schema = {
  type: 'object',
  properties: {
    auth: {
      type: 'object',
      properties: {
        tokens: { type: 'array', items: text, writeOnly: true },
        keys: { type: 'array', items: secret },
        users: { type: 'array', items: user },
        groups: {
          type: 'array',
          items: { type: 'object', properties: { name: text, users: { type: 'array', items: user } } },
        },
      },
    },
  },
};

/** The secrets that are kept when `auth` is sent over `earlier`, in the order of the schema. */
const kept = (earlier: object, auth: object): unknown[] =>
  (JSON.parse(splitSecrets(schema, { auth }, { auth: earlier }).secrets ?? '[]') as [unknown, unknown][]).map(
    ([, one]) => one,
  );
const called = (username: string, password: string, more: object = {}) => ({ username, password, ...more });

describe('a mask that is sent back', () => {
  it('as a list keeps the stored one only if it is as long: none lives on that is not shown', () => {
    const earlier = { tokens: ['new', 'old'] };
    expect(kept(earlier, { tokens: [MASK, MASK] })).toEqual([['new', 'old']]);
    for (const tokens of [[MASK], [MASK, MASK, MASK], [MASK, 'third'], MASK])
      expect(kept(earlier, { tokens })).toEqual([tokens]);
    expect(kept({}, { tokens: [MASK] })).toEqual([[MASK]]);
  });

  it('within a list of secrets keeps the one at its place only if the list is as long', () => {
    expect(kept({ keys: ['a', 'b'] }, { keys: [MASK, 'c'] })).toEqual(['a', 'c']);
    expect(kept({ keys: ['a', 'b'] }, { keys: [MASK] })).toEqual([MASK]);
    expect(kept({ keys: ['a'] }, { keys: ['b', MASK] })).toEqual(['b', 'a']);
    expect(kept({ keys: ['a'] }, { keys: [MASK, MASK] })).toEqual([MASK, MASK]);
  });

  it('within an element of a list keeps what was shown beside the same values, wherever that stands now', () => {
    const earlier = { users: [called('alice', 'a'), called('bob', 'b')] };
    expect(kept(earlier, { users: [called('bob', MASK)] })).toEqual(['b']);
    expect(kept(earlier, { users: [called('bob', MASK), called('alice', MASK)] })).toEqual(['b', 'a']);
    expect(kept(earlier, { users: [called('carol', 'c'), called('alice', MASK)] })).toEqual(['c', 'a']);
    expect(kept(earlier, { users: [{ password: MASK, username: 'bob' }] })).toEqual(['b']);
  });

  it('is left as it is beside other values, or where two look alike', () => {
    const earlier = { users: [called('alice', 'a'), called('bob', 'b')] };
    expect(kept(earlier, { users: [called('carol', MASK)] })).toEqual([MASK]);
    expect(kept(earlier, { users: [called('bob', MASK, { role: 'admin' })] })).toEqual([MASK]);
    const twice = { users: [called('alice', 'one'), called('alice', 'two')] };
    expect(kept(twice, { users: [called('alice', MASK), called('alice', MASK)] })).toEqual(['one', 'two']);
    expect(kept(twice, { users: [called('alice', MASK)] })).toEqual([MASK]);
  });

  it('is found in time in a list without end, which no schema has looked at yet', () => {
    const many = { users: Array.from({ length: 20_000 }, () => called('alice', MASK)) };
    expect(kept({ users: [called('alice', 'a')] }, many)).toHaveLength(20_000);
    expect(kept({ users: many.users.map(({ username }, i) => called(username, `${i}`)) }, many)[19_999]).toBe('19999');
  });

  it('is found through lists within lists', () => {
    const group = (name: string, ...users: object[]) => ({ name, users });
    const earlier = { groups: [group('x', called('alice', 'xa')), group('y', called('alice', 'ya'))] };
    expect(kept(earlier, { groups: [group('y', called('alice', MASK))] })).toEqual(['ya']);
    expect(kept(earlier, { groups: [group('z', called('alice', MASK))] })).toEqual([MASK]);
  });
});

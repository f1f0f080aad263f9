import { Emptyings } from './emptyings.js';

describe('what the stream has said of tables that were emptied', () => {
  it('counts until files that it wrote are known, and is kept until they are noted (trap 38)', () => {
    const emptyings = new Emptyings();
    for (let times = 0; times < 2; times++) emptyings.say(1, 100);
    emptyings.looked('101:101:', new Set());
    expect([emptyings.of(1), emptyings.state]).toEqual([false, [{ oid: 1, xid: 100 }]]);
    emptyings.say(1, 105);
    expect(emptyings.state).toEqual([
      { oid: 1, xid: 105 },
      { oid: 1, xid: 100 },
    ]);
    emptyings.noted();
    expect([emptyings.of(1), emptyings.of(2), emptyings.state]).toEqual([true, false, [{ oid: 1, xid: 105 }]]);
  });

  it('of a transaction that was not visible, or where a file is not known for sure, the next look may bring it (trap 13)', () => {
    const emptyings = new Emptyings();
    emptyings.say(1, 100);
    emptyings.say(2, 99);
    emptyings.looked('98:102:100', new Set([2]));
    expect([emptyings.of(1), emptyings.of(2)]).toEqual([true, true]);
    emptyings.looked('102:102:', new Set());
    expect([emptyings.of(1), emptyings.of(2)]).toEqual([false, false]);
  });
});

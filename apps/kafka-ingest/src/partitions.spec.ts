import { outOfRange } from './partitions.js';

describe('a position outside of what the broker holds (trap 24)', () => {
  const range = { first: 10, end: 40 } as Parameters<typeof outOfRange>[2];

  it.each([
    [4, 'Records 4 to 9 of t/0 are gone: the broker holds 10 to 39.', 10],
    [50, 't/0 ends before our position 50: the broker holds 10 to 39.', 40],
  ])('%i: says what is missing, and where a start that skips goes on', (offset, message, at) => {
    const failure = outOfRange('t/0', offset, range);
    expect(failure).toMatchObject({ code: 'offset_out_of_range', message });
    expect(failure.hint).toContain(`{"onLostPosition":"skip"} to go on at ${at} of t/0 `);
  });
});

import { shownPrefix } from './api-key-store.js';

it('of a key a quarter is kept to be shown at the most, also of a short one that was given (trap 35)', () => {
  expect(
    ['plnx_live_abcdefghijklmnopqrst', 'plnx_live_abcdefgh', 'plnx_live_ab', 'abcdefgh', 'a-key-of-some-length'].map(
      shownPrefix,
    ),
  ).toEqual(['plnx_live_abcd', 'plnx_live_ab', 'plnx_live_', 'ab', 'a-ke']);
});

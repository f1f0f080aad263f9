import { DELIVERY_REASONS, DELIVERY_REFUSALS, deliveryHint } from './delivery.js';
import { STREAM_ERRORS } from './errors.js';

describe('what is said of a delivery', () => {
  it.each([...Object.keys(DELIVERY_REFUSALS), ...Object.keys(DELIVERY_REASONS), ...Object.keys(STREAM_ERRORS)])(
    '%s says what to do, in a sentence',
    (reason) => {
      expect(deliveryHint(reason)).toMatch(/^\S.{15,}\.$/);
    },
  );

  it('of a reason that is not known it says nothing', () => {
    expect([deliveryHint('of_a_later_version'), deliveryHint('constructor'), deliveryHint('')]).toEqual([
      null,
      null,
      null,
    ]);
  });
});

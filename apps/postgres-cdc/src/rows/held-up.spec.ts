import { HeldUp } from './held-up.js';

describe('readers that are held up', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  function heldUp() {
    const seen = { expired: 0 };
    const one = new HeldUp(20_000, { monotonic: () => Date.now() }, () => seen.expired++);
    return { one, seen };
  }

  it('are so once nobody has taken anything for the whole time, and no more than once', () => {
    const { one, seen } = heldUp();
    one.begin();
    jest.advanceTimersByTime(19_999);
    one.begin();
    expect(seen.expired).toBe(0);
    jest.advanceTimersByTime(1);
    expect(seen.expired).toBe(1);
    jest.advanceTimersByTime(100_000);
    expect(seen.expired).toBe(1);
  });

  it('are not where somebody takes, however slowly: a table without a key would begin again and again', () => {
    const { one, seen } = heldUp();
    one.begin();
    for (let i = 0; i < 20; i++) {
      jest.advanceTimersByTime(15_000);
      one.moved();
    }
    expect(seen.expired).toBe(0);
    jest.advanceTimersByTime(20_000);
    expect(seen.expired).toBe(1);
  });

  it('are not any more once they go on, and may be again', () => {
    const { one, seen } = heldUp();
    one.begin();
    jest.advanceTimersByTime(15_000);
    one.end();
    jest.advanceTimersByTime(15_000);
    one.begin();
    jest.advanceTimersByTime(19_999);
    expect(seen.expired).toBe(0);
    jest.advanceTimersByTime(1);
    expect(seen.expired).toBe(1);
  });
});

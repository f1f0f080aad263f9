import { WhileUsed } from './while-used.js';

describe('what is open while it is used', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  const made = () => {
    const told: string[] = [];
    let n = 0;
    const shared = new WhileUsed(
      () => (told.push(`open ${++n}`), n),
      (of) => void told.push(`close ${of}`),
      1000,
    );
    return { shared, told };
  };

  it('is shared, closed when nobody has used it for a while, and opened anew for the next one (Invariant 6)', async () => {
    const { shared, told } = made();
    let end: () => void = () => undefined;
    const long = shared.use(() => new Promise<void>((resolve) => (end = resolve)));
    expect(await shared.use((of) => Promise.resolve(of))).toBe(1);
    jest.advanceTimersByTime(10_000);
    expect(told).toEqual(['open 1']);
    end();
    await long;
    jest.advanceTimersByTime(999);
    await expect(shared.use(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
    jest.advanceTimersByTime(999);
    expect(told).toEqual(['open 1']);
    jest.advanceTimersByTime(1);
    expect(told).toEqual(['open 1', 'close 1']);
    expect(await shared.use((of) => Promise.resolve(of))).toBe(2);
  });

  it('is closed at the end, and not opened again', async () => {
    const { shared, told } = made();
    await shared.use(() => Promise.resolve());
    shared.end();
    await expect(shared.use(() => Promise.resolve())).rejects.toThrow('closed');
    expect(told).toEqual(['open 1', 'close 1']);
  });
});

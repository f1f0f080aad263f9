import { bytes, heldBack, millis, sparkline, whole } from './figures.js';

describe('figures', () => {
  it('draws the highest value tallest', () => {
    expect(sparkline([0, 5, 10])).toBe('▁▅█');
    expect(sparkline([])).toBe('');
    expect(sparkline([0, 0])).toBe('▁▁');
  });

  it('writes numbers for people', () => {
    expect(whole(12345.6)).toBe('12,346');
    expect(millis(null)).toBe('–');
    expect(millis(3.14159)).toBe('3.1 ms');
    expect(millis(120.4)).toBe('120 ms');
    expect(bytes(500)).toBe('500 B');
    expect(bytes(1536)).toBe('1.5 KiB');
    expect(heldBack(null)).toBe('–');
    const soon = { bytes: 1536, bytesToLoss: 2 ** 32, secondsToLoss: null, overBudget: false };
    expect(heldBack(soon)).toBe('1.5 KiB, lost after 4.0 GiB more');
    expect(heldBack({ ...soon, bytesToLoss: null })).toBe('1.5 KiB, no limit');
    expect(heldBack({ ...soon, bytes: 0, secondsToLoss: 90, overBudget: true })).toBe('0 B, lost in 90 s, over budget');
    expect(heldBack({ ...soon, bytes: 0, secondsToLoss: 600, overBudget: false })).toBe('0 B, lost in 10 min');
    expect(heldBack({ ...soon, bytes: 0, secondsToLoss: 86_400, overBudget: false })).toBe('0 B, lost in 24 h');
  });
});

import { isIn, shareOf } from './share.js';

describe('shares of a stream', () => {
  it('give every partition to one reader, and consecutive ones of a topic to different readers', () => {
    for (const readers of [1, 2, 3, 8])
      for (let partition = 0; partition < 24; partition++) {
        const name = `orders.v2/${partition}`;
        const shares = Array.from({ length: readers }, (_, index) => ({ index, of: readers }));
        const index = shareOf(name, readers);
        expect(shares.filter((share) => isIn(share, name))).toEqual([{ index, of: readers }]);
        expect(shareOf(`orders.v2/${partition + 1}`, readers)).toBe((index + 1) % readers);
      }
  });

  it('are about even over many topics of one partition, too', () => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 400; i++) counts[shareOf(`topic-${i}/0`, 4)]!++;
    for (const count of counts) expect(count).toBeGreaterThan(50);
  });

  it('are the same at every worker, whatever version of this it runs', () => {
    // Two workers that do not agree read a partition twice, or not at all.
    expect(['orders/0', 'orders/1', 'orders/2', 'a/b/7', ''].map((name) => shareOf(name, 5))).toEqual([2, 3, 4, 4, 0]);
  });
});

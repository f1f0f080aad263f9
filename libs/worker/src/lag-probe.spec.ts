import fc from 'fast-check';
import { looksAfter } from './lag-probe.js';

describe('who looks at a stream that nobody reads', () => {
  it('exactly one of the live workers, whatever their number', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 9 }),
        fc.string(),
        (workers, stream) => {
          expect(workers.filter((worker) => looksAfter(worker, workers, stream))).toHaveLength(1);
        },
      ),
    );
  });

  it('nobody who does not count as live', () => {
    expect(looksAfter('gone', ['a', 'b'], 'str_x')).toBe(false);
  });
});

import fc from 'fast-check';
import { Coalescer } from './coalescer.js';

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('one question at a time per subject', () => {
  it('those who come while one is under way share the next, each with a place of its own', async () => {
    const put: number[] = [];
    const coalescer = new Coalescer(async (_subject, count) => {
      put.push(count);
      await tick();
      return put.length;
    });
    const shares = await Promise.all(Array.from({ length: 5 }, () => coalescer.ask('a')));
    expect(put).toEqual([1, 4]);
    expect(shares.map((share) => [share.answer, share.place, share.count])).toEqual([
      [1, 1, 1],
      [2, 1, 4],
      [2, 2, 4],
      [2, 3, 4],
      [2, 4, 4],
    ]);
    expect((await coalescer.ask('a')).answer).toBe(3);
  });

  it('no answer is older than its asker, however they come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ subject: fc.constantFrom('a', 'b'), after: fc.nat(3) }), { maxLength: 30 }),
        async (askers) => {
          let now = 0;
          const coalescer = new Coalescer(async () => {
            const began = ++now;
            await tick();
            return began;
          });
          await Promise.all(
            askers.map(async ({ subject, after }) => {
              for (let i = 0; i < after; i++) await tick();
              const came = now;
              expect((await coalescer.ask(subject)).answer).toBeGreaterThan(came);
            }),
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  it('a failure fails those under way and those in line, and the next asker starts anew', async () => {
    let fail = true;
    const coalescer = new Coalescer(async () => {
      await tick();
      if (fail) throw new Error('away');
      return 'here';
    });
    const all = await Promise.allSettled([coalescer.ask('a'), coalescer.ask('a'), coalescer.ask('a')]);
    expect(all.map((one) => one.status)).toEqual(['rejected', 'rejected', 'rejected']);
    fail = false;
    expect((await coalescer.ask('a')).answer).toBe('here');
  });
});

import fc from 'fast-check';
import { Acker, statusInterval } from './acker.js';
import { parseLsn } from './decode/index.js';

function scene(from = 0n) {
  const sent: { lsn: bigint; ping: boolean }[] = [];
  let now = 0;
  // Like the library: it adds one to what it is told.
  const acker = new Acker(
    { acknowledge: (lsn, ping = false) => (sent.push({ lsn: parseLsn(lsn) + 1n, ping }), Promise.resolve(true)) },
    from,
    () => now,
  );
  return { acker, sent, pass: (ms: number) => (now += ms) };
}

describe('the acker', () => {
  it('confirms the very place that is durable, not one byte more (trap 1)', () => {
    const { acker, sent } = scene();
    for (const lsn of [0x16b374d848n, 0x1_0000_0000n, 0xffff_ffffn, 0x2_ffff_ffffn]) {
      acker.settle(lsn);
      if (lsn === acker.acknowledged) expect(sent.at(-1)!.lsn).toBe(lsn);
    }
    expect(acker.acknowledged).toBe(0x16b374d848n);
  });

  it('never confirms more than was settled, and never goes back, whatever the server asks (trap 2)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.bigInt({ min: 1n, max: 1000n }), fc.constantFrom('answer', 'tick', 'ask'))),
        (steps) => {
          const { acker, sent, pass } = scene(1n);
          let most = 1n;
          for (const step of steps) {
            pass(700);
            if (typeof step === 'bigint') {
              acker.settle(step);
              if (step > most) most = step;
            } else if (step === 'answer') acker.answer();
            else if (step === 'ask') acker.ask();
            else acker.tick(1000);
          }
          let last = 0n;
          for (const { lsn } of sent) {
            expect(lsn).toBeGreaterThanOrEqual(last);
            last = lsn;
          }
          expect(last).toBeLessThanOrEqual(most);
        },
      ),
    );
  });

  it('says where it is unasked, in a third of the time after which the server gives up (trap 3)', () => {
    expect(statusInterval(60_000)).toBe(10_000);
    expect(statusInterval(2000)).toBe(666);
    expect(statusInterval(0)).toBe(10_000);
    const { acker, sent, pass } = scene(5n);
    pass(20_000);
    acker.tick(600);
    const before = sent.length;
    pass(300);
    acker.tick(600);
    expect(sent).toHaveLength(before);
    pass(301);
    acker.tick(600);
    expect(sent).toHaveLength(before + 1);
  });

  it('asks the server now and then, so that the lag is proved', () => {
    const { acker, sent, pass } = scene(5n);
    for (let i = 0; i < 60; i++) {
      pass(500);
      acker.tick(10_000);
    }
    expect(sent.filter((one) => one.ping).length).toBeGreaterThanOrEqual(2);
  });
});

import { delivery } from '../deliveries-under-test.js';
import { planOf } from './intake-plan.js';
import type { Known } from './seen-topic.js';

const NOW = 1_795_564_800_000;
const nothing = () => undefined;

/** Plans a group after what was planned before is known. */
function after(before: readonly Known[]): (name: string) => Known['as'] | undefined {
  const known = new Map(before.map(({ name, as }) => [name, as]));
  return (name) => known.get(name);
}

describe('what deliveries come to', () => {
  const forged = delivery('a', { sameDelivery: 'forged', otherId: 'wh_a~forged' });
  const real = delivery('a', { sameDelivery: 'real', otherId: 'wh_a~real' });

  it('is one event for those that are equal, within a group and after it', () => {
    const first = planOf([delivery('a'), delivery('a'), delivery('b')], NOW, nothing);
    expect(first.taken.map(({ kind }) => kind)).toEqual(['written', 'repeated', 'written']);
    expect(first.events.map(({ id }) => id)).toEqual(['wh_a', 'wh_b']);
    expect(first.bytes).toBe(18);
    const again = planOf([delivery('b')], NOW, after(first.known));
    expect(again).toEqual({ taken: [{ kind: 'repeated', id: 'wh_b' }], events: [], bytes: 0, known: [] });
  });

  it('is an event with an id of its own for another delivery under an id that is not signed (trap 28)', () => {
    const whole = planOf([forged, real, real, forged], NOW, nothing).taken;
    const wanted = [
      { kind: 'written', id: 'wh_a' },
      { kind: 'written', id: 'wh_a~real' },
      { kind: 'repeated', id: 'wh_a~real' },
      { kind: 'repeated', id: 'wh_a' },
    ];
    expect(whole).toEqual(wanted);
    const known: Known[] = [];
    for (const [i, one] of [forged, real, real, forged].entries()) {
      const plan = planOf([one], NOW, after(known));
      expect(plan.taken).toEqual([wanted[i]]);
      known.push(...plan.known);
    }
  });

  it('is remembered for its window', () => {
    expect(planOf([delivery('a', { windowMs: 50 })], NOW, nothing).known).toEqual([
      { name: 'a', as: 'first', untilMs: NOW + 50 },
    ]);
  });

  it('is one event for each part, numbered where it was taken apart', () => {
    const parts = [1, 2].map((n) => ({ partitionkey: `${n}`, data: Buffer.from(`${n}`) }));
    const { events } = planOf([delivery('a', { parts, expanded: true })], NOW, nothing);
    expect(events.map(({ id, partitionkey, order }) => [id, partitionkey, order])).toEqual([
      ['wh_a/0', '1', null],
      ['wh_a/1', '2', null],
    ]);
  });
});

import { Fold } from './fold.js';

let number = 0;
const event = (op: string, key: object, after: string | null, unchanged: string[] = []) => ({
  id: `e${number++}`,
  subject: 'shop.t',
  partitionkey: JSON.stringify(key),
  data: `{"op":"${op}","before":null,"after":${after},"unchanged":${JSON.stringify(unchanged)},"source":{},"ts_ms":1}`,
});
const folded = (...events: ReturnType<typeof event>[]) => {
  const fold = new Fold();
  events.forEach((each) => fold.add(each));
  return { fold, rows: fold.rows().get('shop.t') };
};

describe('Fold', () => {
  it('keeps the newest version of each key', () => {
    const { rows, fold } = folded(
      event('r', { id: 1 }, '{"id":1,"v":1.10}'),
      event('c', { id: 2 }, '{"id":2,"v":0}'),
      event('u', { id: 1 }, '{"id":1,"v":12345678901234567890}'),
      event('d', { id: 2 }, null),
    );
    expect(rows).toEqual(['{"id":1,"v":12345678901234567890}']);
    expect(fold.counts).toEqual({ r: 1, c: 1, u: 1, d: 1, t: 0 });
  });

  it('carries unchanged values over an update and over a change of the key (trap 14)', () => {
    const { rows, fold } = folded(
      event('c', { id: 1 }, '{"id":1,"big":"B","v":1}'),
      event('u', { id: 1 }, '{"id":1,"v":2}', ['big']),
      event('d', { id: 1 }, null),
      event('c', { id: 7 }, '{"id":7,"v":2}', ['big']),
    );
    expect(JSON.parse(rows![0]!)).toEqual({ id: 7, big: 'B', v: 2 });
    expect(fold.problems).toEqual([]);
    expect(fold.carried).toBe(2);
  });

  it('reports an unchanged value that nothing is known of', () => {
    expect(folded(event('u', { id: 1 }, '{"id":1}', ['big'])).fold.problems).toHaveLength(1);
  });

  it('gives an update no values of another row that was deleted right before it', () => {
    const { rows, fold } = folded(
      event('c', { id: 1 }, '{"id":1,"big":"B"}'),
      event('d', { id: 1 }, null),
      event('u', { id: 2 }, '{"id":2}', ['big']),
    );
    expect(rows).toEqual(['{"id":2}']);
    expect(fold.problems).toHaveLength(1);
  });

  it('takes a row that comes after its change, as it may while rows are read beside the stream', () => {
    const { rows, fold } = folded(
      event('u', { id: 1 }, '{"id":1,"v":2}', ['big']),
      event('r', { id: 1 }, '{"id":1,"v":2,"big":"B"}'),
    );
    expect(rows).toEqual(['{"id":1,"v":2,"big":"B"}']);
    expect(fold.problems).toEqual([]);
  });

  it('clears a table on truncate and counts repeated ids', () => {
    const first = event('c', { id: 1 }, '{"id":1}');
    const { rows, fold } = folded(first, first, event('t', {}, null));
    expect(rows).toEqual([]);
    expect(fold.repeated).toBe(1);
  });
});

import { NO_ORDERS, type SnapshotOrder } from '@planasonix/core';
import { OrderBook, endedOrders, type OrdersTold } from './order-book.js';

const order = (id: string): SnapshotOrder => ({ id, tables: ['public.t'], where: null });

/** What a position says where the order's only table is in the log. */
const whole = (id: string, open?: readonly string[]): OrdersTold => ({ tables: [{ order: id, done: true }], open });

/** A store that takes note of an end at once, and answers when it is told to, or not at all. */
function store() {
  const [open, done] = [[order('snap_x'), order('snap_y')], [] as SnapshotOrder[]];
  const warnings: object[] = [];
  let answer: (heard: boolean) => void = () => undefined;
  const log = { debug: () => undefined, info: () => undefined, error: () => undefined };
  const context = {
    streamId: 'str_1',
    log: { ...log, warn: (fields: object) => void warnings.push(fields) },
    orders: {
      ...NO_ORDERS,
      open: () => Promise.resolve(open),
      done: () => Promise.resolve(done),
      close: (id: string) => {
        const at = open.findIndex((one) => one.id === id);
        if (at >= 0) done.push(...open.splice(at, 1));
        return new Promise<void>((resolve, reject) => {
          answer = (heard) => (heard ? resolve() : reject(new Error('gone')));
        });
      },
    },
  };
  return { open, warnings, answer: (heard: boolean) => answer(heard), book: new OrderBook(context, []) };
}

describe('which orders are over', () => {
  it.each([true, false])(
    'one whose end is being told is not lost, when another is taken back meanwhile (the store answers: %s)',
    async (heard) => {
      const { open, warnings, answer, book } = store();
      await book.begin(undefined);
      const told = book.close('snap_x');
      if (!heard) answer(false);
      if (!heard) expect(await told).toBe(false);
      open.length = 0;
      expect([await book.wanted(['snap_y']), warnings]).toEqual([[], []]);
      answer(true);
      if (heard) expect([await told, book.ids]).toEqual([true, ['snap_x']]);
    },
  );

  it('its end is told once at a time, and once more where the store did not hear', async () => {
    const { answer, book } = store();
    await book.begin(undefined);
    const told = book.close('snap_x');
    expect(await book.close('snap_x')).toBe(false);
    answer(false);
    expect([await told, book.has('snap_x')]).toEqual([false, false]);
    const again = book.close('snap_x');
    answer(true);
    expect([await again, await book.close('snap_x'), book.ids]).toEqual([true, false, ['snap_x']]);
  });

  it('one that was refused is never said to be done, also where the store did not hear of it (Invariant 2)', async () => {
    const { open, answer, book } = store();
    await book.begin(undefined);
    const refused = book.refuse('snap_x', 'Its condition fails.');
    answer(false);
    await expect(refused).rejects.toThrow('gone');
    open.push(order('snap_x'));
    expect([await book.close('snap_x'), book.has('snap_x'), open.length]).toEqual([false, false, 2]);
  });

  it('a position tells the end of one of which nothing is left; of an earlier version it says nothing (Invariant 2)', () => {
    expect(endedOrders(whole('snap_x', []))).toEqual(new Set(['snap_x']));
    expect(endedOrders(whole('snap_x', ['snap_y']))).toEqual(new Set(['snap_x']));
    expect(endedOrders(whole('snap_x', ['snap_x']))).toEqual(new Set());
    expect(endedOrders(whole('snap_x'))).toEqual(new Set());
  });
});

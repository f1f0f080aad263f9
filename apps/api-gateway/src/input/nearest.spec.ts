import { nearest, unknownKeyHint } from './nearest.js';

const KNOWN = ['tables', 'exclude_tables', 'slot_name', 'publication'];

describe('the nearest known name', () => {
  it.each([
    ['table', 'tables'],
    ['slotname', 'slot_name'],
    ['SlotNam', 'slot_name'],
    ['slot-name', 'slot_name'],
    ['pubication', 'publication'],
  ])('%s → %s', (given, known) => expect(nearest(given, KNOWN)).toBe(known));

  it.each(['x', 'bogus_key', 'y'.repeat(5000)])('%s is near to none', (given) =>
    expect(nearest(given, KNOWN)).toBeNull(),
  );

  it('without a near one, all that are known are named', () => {
    expect(unknownKeyHint('zzzzzz', KNOWN)).toBe('Known here: tables, exclude_tables, slot_name, publication.');
  });
});

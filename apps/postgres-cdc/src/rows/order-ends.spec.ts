import { OrderEnds } from './order-ends.js';
import { newTask, type RowTask, type RowWish } from './row-task.js';

const wish = { oid: 1, schema: 'public', name: 't', order: 'snap_1', where: null, id: 'snap_1.0' };

function ends({ exported = false, ...other }: Partial<RowWish> & { readonly exported?: boolean } = {}) {
  const task: RowTask = newTask({ ...wish, empties: false, keyless: false, ...other }, { gate: null });
  const [refused, told]: [string[], string[]] = [[], []];
  const of = new OrderEnds({
    ...{ tasks: () => [task], exported: () => exported, refuse: (_, why) => void refused.push(why) },
    drop: (one, why) => one.end('cancelled', why),
    renamed: (oid, { table }) => void told.push(`${oid} is ${table}`),
  });
  const fails = (code: string, message = ''): 'refused' | 'thrown' => {
    try {
      of.failed(task, Object.assign(new Error(message), { code }));
      return 'refused';
    } catch {
      return 'thrown';
    }
  };
  return { task, refused, told, of, fails };
}

describe('rows that could not be read', () => {
  it.each(['0A000', '22012', '42501', '42703', 'P0001', 'XX001', 'XX002', '58030'])(
    '%s is of the table: its order ends, with or without a condition',
    (code) => {
      for (const where of [null, 'id > 1']) expect(ends({ where }).fails(code)).toBe('refused');
      expect(ends({ order: null }).fails(code)).toBe('thrown');
    },
  );

  it.each(['08006', '08P01', '53300', '57P01', '57014', '40001', 'XX000', '', 'ECONNRESET'])(
    '%s is none of the table’s fault: the stream meets it',
    (code) => expect(ends({ where: 'id > 1' }).fails(code)).toBe('thrown'),
  );

  it('nor is a snapshot that is not there any more', () => {
    for (const code of ['22023', '42704'])
      expect([true, false].map((exported) => ends({ exported }).fails(code))).toEqual(['thrown', 'refused']);
  });

  it('is told without values of rows, and by its own reason', () => {
    const denied = ends({ where: 'id > 1' });
    denied.fails('42501', 'permission denied for table t');
    const failing = ends({ where: 'v::int > 1' });
    failing.fails('22P02', 'invalid input syntax for type integer: "secret"');
    const torn = ends();
    torn.task.forgotten();
    torn.fails('XX001', 'invalid page');
    expect([denied, failing, torn].flatMap(({ refused }) => refused)).toEqual([
      "Rows of public.t can't be read: permission denied for table t.",
      'Its condition fails on rows of public.t (SQLSTATE 22P02).',
      "Rows of public.t can't be read (SQLSTATE XX001). Readers have forgotten what they had of it: order its rows again once that is mended.",
    ]);
  });

  it('of an order that is over already says nothing more', () => {
    const { task, refused, fails } = ends();
    task.end('cancelled');
    expect([fails('42501'), refused]).toEqual(['refused', []]);
  });
});

describe('a table that is renamed amid its rows', () => {
  const to = { schema: 'public', table: 'other' };
  const why = 'public.t was renamed before all of its rows were read.';

  it('an order fails; who has forgotten the table for it gets its rows all the same', () => {
    for (const owed of [false, true]) {
      const { task, refused, told, of } = ends();
      if (owed) task.forgotten();
      of.renamed(task, to);
      expect([task.phase, refused, told]).toEqual(['cancelled', [why], owed ? ['1 is other'] : []]);
    }
  });

  it('the stream’s own rows are read anew', () => {
    const { task, refused, told, of } = ends({ order: null });
    of.renamed(task, to);
    expect([task.phase, task.progress.note, refused, told]).toEqual(['cancelled', why, [], ['1 is other']]);
  });
});

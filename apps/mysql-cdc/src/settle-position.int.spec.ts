import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

interface Place {
  readonly file: string;
  readonly pos: number;
  readonly gtids: string | null;
  readonly attempt: number;
}

describe.each(LEGS)('a position of $name that is set by hand', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let stream: TrialStream;
  let n = 0;
  /** Where the stream was after each of its first three transactions. */
  let places: Place[];

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
  });
  beforeEach(async () => {
    n += 1;
    await db.query(`CREATE DATABASE d${n}; USE d${n}; CREATE TABLE t (id INT PRIMARY KEY)`);
    stream = make();
    stream.start();
    await stream.begun();
    places = [];
    for (const id of [1, 2, 3]) {
      await db.query(`INSERT INTO t VALUES (${id})${id === 2 ? ', (20)' : ''}`);
      await stream.seen(`"after":{"id":${id}}`);
      places.push(placeOf());
    }
    await stream.stop();
  });
  afterEach(() => stream.stop());
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  const make = (config: object = { snapshot: 'never' }): TrialStream =>
    new TrialStream(`str_${n}`, { tables: [`d${n}.t`], ...config }, connectionOf(server), type);
  const placeOf = (of = stream): Place => JSON.parse(of.positions.get('')!) as Place;
  /** A reader who goes on from a position that was set, with an empty log. */
  const goesOn = async (wanted: unknown, from = stream): Promise<TrialStream> => {
    const next = make();
    for (const [name, text] of await from.settle(wanted)) next.positions.set(name, text);
    next.start();
    return next;
  };
  const ids = (of: TrialStream) => of.data().map(({ after }) => after?.['id']);

  it.each(['a place', 'GTIDs', 'a whole position'])('is gone on from: %s', async (form) => {
    const [one] = places as [Place];
    const wanted =
      form === 'a place' ? { file: one.file, pos: one.pos } : form === 'GTIDs' ? { gtids: one.gtids } : one;
    const again = await goesOn(wanted);
    await again.count(3);
    expect(ids(again)).toEqual([2, 20, 3]);
    // Set back, changes come again with their ids.
    expect(again.events.map(({ id }) => id)).toEqual(stream.events.slice(1).map(({ id }) => id));
    await again.stop();
    const ahead = await goesOn(form === 'GTIDs' ? { gtids: places[2]!.gtids } : places[2], again);
    await db.query('INSERT INTO t VALUES (4)');
    await ahead.count(1);
    expect(ids(ahead)).toEqual([4]);
    await ahead.stop();
  });

  it('is a place for a stream that has not begun: changes alone', async () => {
    const { file, pos } = places[1]!;
    const fresh = await goesOn({ file, pos }, make({ snapshot: 'initial' }));
    await fresh.count(1);
    expect(ids(fresh)).toEqual([3]);
    await fresh.stop();
  });

  it('leaves rows and what they hold as they are where it is the very place where the stream rests', async () => {
    const rests = placeOf();
    const rows = { tables: [], sifts: [{ schema: `d${n}`, table: 't', file: rests.file, pos: rests.pos + 1000 }] };
    const shown = { ...rests, rows };
    stream.positions.set('', JSON.stringify(shown));
    const kept = async (wanted: unknown): Promise<unknown> =>
      (JSON.parse((await stream.settle(wanted)).get('')!) as { rows?: unknown }).rows;
    expect(await kept(shown)).toEqual(rows);
    expect(await kept({ file: rests.file, pos: rests.pos })).toEqual(rows);
    expect(await kept(places[0])).toBeUndefined();
  });

  it('may be the end of the log, or of a file of before', async () => {
    await db.query('FLUSH BINARY LOGS; INSERT INTO t VALUES (5)');
    const [[end]] = (await db.query(type === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS')) as unknown as [
      [{ File: string; Position: number }],
    ];
    const { file, pos } = places[2]!;
    const from = await goesOn({ file, pos });
    await from.count(1);
    expect(ids(from)).toEqual([5]);
    await from.stop();
    expect((await stream.settle({ file: end.File, pos: end.Position })).get('')).toContain(`"pos":${end.Position}`);
  });

  it('is refused where no transaction begins, or nothing was written yet', async () => {
    const [events] = await db.query(`SHOW BINLOG EVENTS IN '${places[1]!.file}' FROM ${places[1]!.pos} LIMIT 2`);
    const inside = (events as { Pos: number }[])[1]!.Pos;
    const { file, pos } = places[1]!;
    for (const at of [inside, pos + 3])
      await expect(stream.settle({ file, pos: at })).rejects.toMatchObject({ code: 'offset_out_of_range' });
    await expect(stream.settle({ file, pos: pos + 1e9 })).rejects.toMatchObject({ code: 'offset_out_of_range' });
    await expect(stream.settle({ file: 'binlog.000999', pos: 4 })).rejects.toMatchObject({
      code: 'source_identity_changed',
    });
    const unknown = type === 'mysql' ? '3e11fa47-71ca-11e1-9e33-c80aa9429562:1' : '0-9-999999';
    await expect(stream.settle({ gtids: unknown })).rejects.toMatchObject({ code: 'source_identity_changed' });
  });

  it('is a place of the server that was read so far, and of no other (trap 20a)', async () => {
    const { file, pos } = places[0]!;
    const other = { ...(JSON.parse(stream.positions.get('')!) as object), server: `${type}:another` };
    stream.positions.set('', JSON.stringify(other));
    await expect(stream.settle({ file, pos })).rejects.toMatchObject({ code: 'source_identity_changed' });
  });

  it('is refused where what comes behind it was thrown away', async () => {
    await db.query('FLUSH BINARY LOGS');
    const [files] = await db.query('SHOW BINARY LOGS');
    const { Log_name: last } = (files as { Log_name: string }[]).at(-1)!;
    await eventually('the log is purged', async () => {
      await db.query(`PURGE BINARY LOGS TO '${last}'`);
      const [left] = await db.query('SHOW BINARY LOGS');
      return (left as unknown[]).length === 1;
    });
    const { file, pos, gtids } = places[1]!;
    await expect(stream.settle({ file, pos })).rejects.toMatchObject({ code: 'log_purged' });
    await expect(stream.settle({ gtids })).rejects.toMatchObject({ code: 'log_purged' });
  });

  it.each([
    ['nothing', {}],
    ['a set of another kind', { gtids: "x'; DROP TABLE t" }],
    ['a file outside of the log', { file: '../../etc/passwd', pos: 4 }],
    ['a place before the first', { file: 'binlog.000001', pos: 0 }],
    ['more than is known', { file: 'binlog.000001', pos: 4, lsn: '0/0' }],
    ['the place of rows', { phase: 'rows' }],
  ])('is not read from %s', async (_, wanted) => {
    const of = 'phase' in wanted ? { ...places[0], ...wanted } : wanted;
    await expect(stream.settle(of)).rejects.toMatchObject({ code: 'config_invalid' });
  });

  it('is refused while rows are still to be read, which would be lost (Invariant 2)', async () => {
    const rows = make({ snapshot: 'initial' });
    rows.positions.set('', JSON.stringify({ ...places[0], phase: 'rows' }));
    await expect(rows.settle(places[1])).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

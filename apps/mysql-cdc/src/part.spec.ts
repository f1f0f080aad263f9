import { encodeOpen, OPEN, partBehind } from './part.js';
import { decodePosition, type MySqlPosition } from './position.js';

const at = (place: Partial<MySqlPosition>): MySqlPosition =>
  decodePosition(
    JSON.stringify({
      ...{ phase: 'stream', server: 's', file: 'binlog.000002', pos: 500, gtid: null, gtids: '0-1-7', attempt: 1 },
      ...{ proof: null, head: null, ...place },
    }),
  );
const orders = (text: string) => new Map([['', text]]);
/** Of attempt 1, of a transaction that begins at 0x1f4 (500) of file 2. */
const ORDER = '0001-00000002-0000000001f4-00000003';
const noted = (attempt = 1, pos = 500) =>
  new Map([[OPEN, encodeOpen(attempt, { file: 'binlog.000002', pos }, '0-1-8')]]);

describe('a part of a transaction behind the position', () => {
  it('is the one that was noted before its first piece', () => {
    const place = { file: 'binlog.000002', pos: 500 };
    expect(partBehind(at({}), noted(), orders(ORDER))).toEqual({ gtid: '0-1-8', place });
  });

  it('is none where the log holds nothing, or nothing behind the position', () => {
    expect(partBehind(at({}), noted(), new Map())).toBeNull();
    expect(partBehind(at({}), noted(), undefined)).toBeNull();
    expect(partBehind(at({ pos: 900 }), noted(), orders(ORDER))).toBeNull();
    expect(partBehind(at({ file: 'binlog.000003', pos: 4 }), noted(), orders(ORDER))).toBeNull();
  });

  it('is an unknown one where the note is of another transaction, or there is none', () => {
    const unknown = { gtid: null, place: null };
    expect(partBehind(at({}), new Map(), orders(ORDER))).toEqual(unknown);
    expect(partBehind(at({}), noted(1, 400), orders(ORDER))).toEqual(unknown);
  });

  it('is still there after a failover, until its transaction has been read (Invariant 2)', () => {
    const moved = { server: 'b', file: 'binlog.000001', pos: 4, attempt: 2 };
    expect(partBehind(at(moved), noted(), orders(ORDER))).toEqual({ gtid: '0-1-8', place: null });
    expect(partBehind(at({ ...moved, gtids: '0-1-8' }), noted(), orders(ORDER))).toBeNull();
    expect(partBehind(at(moved), new Map(), orders(ORDER))).toBeNull();
  });
});

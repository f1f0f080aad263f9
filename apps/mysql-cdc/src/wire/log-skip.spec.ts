import { LogSkip } from './log-skip.js';

const [FORMAT, ROTATE, ROWS, XID] = [15, 4, 30, 16];
const GIB = 1 << 30;
const FILE = 'binlog.000007';
/** Most of its pages are never touched. */
const large = Buffer.alloc(GIB);

describe('a place past 4 GiB of a file', () => {
  let pos = 4;
  /** The next event of the file; the large ones share their bytes. */
  const event = (type: number, size: number, made = false): Buffer => {
    const bytes = size === GIB ? large : Buffer.alloc(size);
    if (!made) pos += size;
    bytes[4] = type;
    bytes.writeUInt32LE(size, 9);
    bytes.writeUInt32LE(made ? 0 : pos % 0x100000000, 13);
    bytes.writeUInt16LE(made ? 0x20 : 0, 17);
    return bytes;
  };
  beforeEach(() => {
    pos = 4;
  });

  it('is reached from the first byte on: what stands before is passed over, heads are not', () => {
    const place = 4 + 100 + 5 * GIB + 31;
    const skip = new LogSkip({ file: FILE, pos: place }, false);
    const passes = (type: number, size: number, made = false) => skip.passes(event(type, size, made));
    expect(passes(ROTATE, 60, true)).toBe(false);
    expect(passes(FORMAT, 100)).toBe(false);
    for (let i = 0; i < 5; i++) expect(passes(ROWS, GIB)).toBe(true);
    expect(passes(XID, 31)).toBe(true);
    expect(pos).toBe(place);
    expect([passes(ROWS, 50), passes(XID, 31), passes(ROWS, GIB)]).toEqual([false, false, false]);
  });

  it('may be the end of the file', () => {
    const skip = new LogSkip({ file: FILE, pos: 4 + 100 + 5 * GIB }, false);
    skip.passes(event(FORMAT, 100));
    for (let i = 0; i < 5; i++) skip.passes(event(ROWS, GIB));
    expect(skip.passes(event(ROTATE, 60))).toBe(false);
  });

  it.each([ROWS, ROTATE])('is no place where no event begins there (before one of type %s)', (type) => {
    const skip = new LogSkip({ file: FILE, pos: 4 + 5 * GIB - 7 }, false);
    for (let i = 0; i < 4; i++) skip.passes(event(ROWS, GIB));
    if (type === ROWS) skip.passes(event(ROWS, GIB));
    expect(() => skip.passes(event(type, 60))).toThrow(expect.objectContaining({ code: 'source_identity_changed' }));
  });
});

import { ARTIFICIAL, EVENT } from './decode/event-types.js';
import { LogCursor } from './log-cursor.js';

const [START, ROWS] = [EVENT.MARIADB_GTID, EVENT.WRITE_ROWS_1];
const FILE = 'binlog.000001';

/** @param end what the event says of where it ends; 0: nothing */
function event(type: number, size: number, end: number, flags = 0): Buffer {
  const bytes = Buffer.alloc(size);
  bytes[4] = type;
  bytes.writeUInt32LE(size, 9);
  bytes.writeUInt32LE(end, 13);
  bytes.writeUInt16LE(flags, 17);
  return bytes;
}

describe('where in the log an event stands', () => {
  const read = (cursor: LogCursor, ...given: Parameters<typeof event>) => {
    cursor.read(event(...given));
    return { made: cursor.made, begin: cursor.begin, end: cursor.pos };
  };

  it('it says itself, also past 4 GiB', () => {
    const cursor = new LogCursor({ file: FILE, pos: 0xffffff00 }, false);
    expect(read(cursor, START, 0x100, 0)).toEqual({ made: false, begin: 0xffffff00, end: 0x100000000 });
    expect(read(cursor, ROWS, 50, 50)).toEqual({ made: false, begin: 0x100000000, end: 0x100000032 });
  });

  it('amid transactions it does not have to: behind the one before, and it is in the log (MariaDB 11.8)', () => {
    const cursor = new LogCursor({ file: FILE, pos: 615 }, false);
    expect(read(cursor, START, 42, 657)).toEqual({ made: false, begin: 615, end: 657 });
    expect(read(cursor, EVENT.TABLE_MAP, 54, 0)).toEqual({ made: false, begin: 657, end: 711 });
    expect(read(cursor, ROWS, 58, 0)).toEqual({ made: false, begin: 711, end: 769 });
    expect(read(cursor, EVENT.XID, 31, 800)).toEqual({ made: false, begin: 769, end: 800 });
  });

  it.each([
    ['a head that is sent again', EVENT.FORMAT, 0],
    ['how the file is encrypted, sent again', EVENT.MARIADB_START_ENCRYPTION, 0],
    ['a word that all is well', EVENT.HEARTBEAT, 0],
    ['a list for who reads by GTID', EVENT.MARIADB_GTID_LIST, ARTIFICIAL],
  ])('is nowhere where the sender made it: %s', (_, type, flags) => {
    const cursor = new LogCursor({ file: FILE, pos: 615 }, false);
    expect(read(cursor, type, 60, 0, flags)).toMatchObject({ made: true, end: 615 });
  });
});

import { EventEmitter } from 'node:events';
import { CopyTap } from './copy-tap.js';

const message = (kind: string, body: Buffer | string): Buffer => {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(kind);
  head.writeUInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
};

class Socket extends EventEmitter {
  destroyed: Error | null = null;
  destroy(error: Error): void {
    this.destroyed = error;
  }
  /** All of it, in pieces that end at `cuts`. */
  receive(all: Buffer, ...cuts: number[]): void {
    [0, ...cuts].forEach((from, i) => this.emit('data', Buffer.from(all.subarray(from, cuts[i] ?? all.length))));
  }
}

/** A driver behind the tap that lets go of it at `Z`, as `CopyOut` does. */
function tapped() {
  const stream = new Socket();
  const behind: Buffer[] = [];
  const rows: string[] = [];
  stream.on('data', (bytes: Buffer) => {
    behind.push(bytes);
    if (bytes[0] === 0x5a) tap.off();
  });
  const tap = new CopyTap(stream, (bytes, start, end) => rows.push(bytes.toString('latin1', start, end)));
  return { stream, tap, rows, driver: () => Buffer.concat(behind) };
}

const ROWS = ['', 'a', 'row two', 'x'.repeat(40)];
const [H, N, C, Z] = [message('H', 'copy'), message('N', 'notice'), message('c', ''), message('Z', 'I')];
const [first, ...rest] = ROWS.map((row) => message('d', row));
// The row behind `Z` belongs to somebody else's copy: the tap is off by then.
const BEHIND = message('d', 'not ours');
const ALL = Buffer.concat([H, first!, N, ...rest, C, Z, BEHIND]);
const FOR_THE_DRIVER = Buffer.concat([H, N, C, Z, BEHIND]);

describe('a tap before the driver', () => {
  it('takes the rows and hands on everything else, wherever what came was cut', () => {
    for (let cut = 0; cut <= ALL.length; cut++)
      for (const second of [cut, cut + 1, cut + 4, cut + 7]) {
        const { stream, rows, driver } = tapped();
        stream.receive(ALL, cut, Math.min(second, ALL.length));
        expect({ cut, rows }).toEqual({ cut, rows: ROWS });
        expect(driver()).toEqual(FOR_THE_DRIVER);
        expect(stream.listenerCount('data')).toBe(1);
      }
  });

  it('takes a row that comes byte by byte, and one that is larger than any piece', () => {
    const { stream, rows, driver } = tapped();
    stream.receive(ALL, ...Array.from({ length: ALL.length - 1 }, (_, i) => i + 1));
    expect(rows).toEqual(ROWS);
    expect(driver()).toEqual(FOR_THE_DRIVER);
    const large = tapped();
    const value = 'é'.repeat(500_000);
    const all = message('d', Buffer.from(value, 'latin1'));
    large.stream.receive(all, 3, 70_000, 140_000);
    expect(large.rows).toEqual([value]);
  });

  it('taken off in the middle of a message, the driver gets that from its beginning', () => {
    const { stream, tap, rows, driver } = tapped();
    stream.receive(N.subarray(0, 3));
    tap.off();
    stream.receive(N.subarray(3));
    expect(rows).toEqual([]);
    expect(driver()).toEqual(N);
  });

  it('what can be no message ends the connection, and nobody is given more of it', () => {
    const { stream, rows, driver } = tapped();
    stream.receive(Buffer.concat([first!, Buffer.from('d\0\0\0\x03abc')]));
    expect(stream.destroyed?.message).toBe('the server sent a message of 3 bytes');
    stream.receive(message('d', 'more'));
    expect(rows).toEqual(['']);
    expect(driver()).toHaveLength(0);
  });
});

import { deflateRawSync, gzipSync } from 'node:zlib';
import { inflated } from './inflate.js';
import { Hold, Memory } from './memory.js';

const body = Buffer.alloc(1_000_000, 'x');
const packed = gzipSync(body);

describe('a body that is inflated', () => {
  it('is held as long as it is', async () => {
    const memory = new Memory(1_500_000);
    const hold = new Hold([memory]);
    expect(body.equals((await inflated(packed, 'gzip', 2_000_000, hold)) as Buffer)).toBe(true);
    expect([memory.take(500_001), memory.take(500_000)]).toEqual([false, true]);
  });

  it('goes no further than there is memory, for now or at all', async () => {
    const memory = new Memory(1_500_000);
    memory.take(600_000);
    const hold = new Hold([memory]);
    expect(await inflated(packed, 'gzip', 2_000_000, hold)).toBe('no_memory');
    expect(await inflated(packed, 'gzip', 2_000_000, new Hold([new Memory(900_000)]))).toBe('too_large');
    hold.release();
    expect(memory.take(900_000)).toBe(true);
  });

  it('goes no further than it may be', async () => {
    expect(await inflated(packed, 'gzip', 999_999, new Hold([]))).toBe('too_large');
    expect(await inflated(packed, 'gzip', 1_000_000, new Hold([]))).toHaveLength(body.length);
  });

  it('broken or cut short, it holds nothing', async () => {
    const memory = new Memory(1_000_000);
    const hold = new Hold([memory]);
    expect(await inflated(packed.subarray(0, -20), 'gzip', 2_000_000, hold)).toBe('unreadable');
    expect(await inflated(deflateRawSync(body), 'deflate', 2_000_000, hold)).toHaveLength(body.length);
    hold.release();
    expect(memory.take(1_000_000)).toBe(true);
  });
});

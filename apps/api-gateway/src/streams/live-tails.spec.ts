import { once } from 'node:events';
import type { EventLog, LogEntry } from '@planasonix/core';
import { LiveTails } from './live-tails.js';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const entry = { cursor: '1-0', id: 'e', data: 'x'.repeat(100_000) } as LogEntry;

/** A log that has `entries` and then nothing, until the tail is ended. */
const logOf = (...entries: LogEntry[]) =>
  ({
    async *tail(_: string, __: string | null, signal: AbortSignal) {
      yield* entries;
      if (!signal.aborted) await once(signal, 'abort');
    },
  }) as unknown as EventLog;

describe('a live tail', () => {
  const caller = { workspaceId: 'ws', keyId: 'key' };
  let known: () => Promise<boolean>;
  const tails = new LiveTails(silent, { isLive: (id) => (id === 'key' ? known() : Promise.reject(new Error())) });

  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => {
    tails.close();
    jest.useRealTimers();
  });

  it('ends at the heartbeat after its key ended, not while the store can not say (trap 35)', async () => {
    const tail = tails.start(caller, logOf(), 's', null).resume();
    known = () => Promise.resolve(true);
    await jest.advanceTimersByTimeAsync(15_000);
    known = () => Promise.reject(new Error('the store is away'));
    await jest.advanceTimersByTimeAsync(15_000);
    expect(tail.readableEnded).toBe(false);
    known = () => Promise.resolve(false);
    await jest.advanceTimersByTimeAsync(15_000);
    expect(tail.readableEnded).toBe(true);
  });

  it('ends also where its client reads no more: its place is free', async () => {
    known = () => Promise.resolve(false);
    const stuck = Array.from({ length: 20 }, () => tails.start(caller, logOf(entry, entry, entry), 's', null));
    await jest.advanceTimersByTimeAsync(1000);
    expect(() => tails.start(caller, logOf(), 's', null)).toThrow();
    await jest.advanceTimersByTimeAsync(15_000);
    expect(() => tails.start(caller, logOf(), 's', null)).not.toThrow();
    for (const one of stuck) one.destroy();
  });
});

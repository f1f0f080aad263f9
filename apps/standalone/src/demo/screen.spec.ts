import type { Figures } from './figures.js';
import { openScreen } from './screen.js';

const POINTERS = {
  url: 'http://127.0.0.1:3000',
  key: 'plnx_live_shown-to-its-owner',
  streamId: 'str_1',
  lookAtLog: 'redis-cli -p 6399 XREVRANGE plnx:events:{str_1} + - COUNT 5',
};
const FIGURES: Figures = {
  ...{ seconds: 12, status: 'running', eventsPerSecond: 1234.4, lagSeconds: 0.25, p50: 4.24, p99: 17.6 },
  ...{ logDepth: 98_765, totalEvents: 99_000, totalBytes: 5 * 2 ** 20, committed: 4321, rolledBack: 12 },
  ...{ snapshotRows: 2500, held: { bytes: 3 * 2 ** 20, bytesToLoss: 2 ** 32, secondsToLoss: null, overBudget: false } },
  lastEvents: ['shop.orders  c  {"id":7}  3 ms', `shop.items  u  ${'x'.repeat(500)}`],
};

/** A stream that is a terminal, or a pipe: what was written to it, and what a person sees of it. */
function sheet(isTTY: boolean, columns = 90) {
  let written = '';
  const out = { isTTY, columns, write: (text: string) => ((written += text), true) } as unknown as NodeJS.WriteStream;
  // What stands after the last return to the corner is on the screen.
  const seen = () => written.slice(written.lastIndexOf('\x1b[H') + 1).replace(/\x1b?\[\??[\d;]*[A-Za-z]/g, '');
  return { out, seen, written: () => written };
}

describe('the live screen of the demo', () => {
  it('shows state, rate, lag, latencies, the log, the last events, the address and how to look oneself', () => {
    const { out, seen } = sheet(true);
    const screen = openScreen(out, POINTERS);
    screen.show(FIGURES);
    for (const told of [
      ...['12 s', 'state running', 'events/s 1,234', 'lag 0.3 s', 'commit to durable p50 4.2 ms', 'p99 18 ms'],
      ...['log 98,765 entries', 'in all 5.0 MiB', 'source holds 3.0 MiB, lost after 4.0 GiB more'],
      ...['shop 4,321 commits, 12 rolled back', 'snapshot 2,500 rows'],
      ...['last events', FIGURES.lastEvents[0]!, POINTERS.lookAtLog, `${POINTERS.url}/api/docs`, 'Ctrl-C'],
      `curl -s -H 'Authorization: Bearer ${POINTERS.key}' ${POINTERS.url}/api/streams/str_1/metrics`,
    ])
      expect(seen()).toContain(told);
    screen.close();
  });

  it('is drawn over itself: what is no longer so is gone, and the curve of rates goes on', () => {
    const { out, seen, written } = sheet(true);
    const screen = openScreen(out, POINTERS);
    for (const eventsPerSecond of [0, 500, 1000]) screen.show({ ...FIGURES, eventsPerSecond });
    screen.show({ ...FIGURES, status: 'paused', eventsPerSecond: 0, p50: null, p99: null, snapshotRows: null });
    expect(seen()).toContain('state paused');
    expect(seen()).not.toMatch(/running|snapshot/);
    expect(seen()).toContain('p99 –');
    expect(seen()).toMatch(/events\/s ▁[▄▅]█▁\n/);
    expect(written().split('\x1b[2J')).toHaveLength(2);
    screen.close();
  });

  it('keeps a line of an event within the terminal, however narrow', () => {
    for (const columns of [60, 90]) {
      const { out, seen } = sheet(true, columns);
      const screen = openScreen(out, POINTERS);
      screen.show(FIGURES);
      const line = seen()
        .split('\n')
        .find((one) => one.includes('shop.items'))!;
      expect(line.length).toBeLessThan(columns);
      screen.close();
    }
  });

  it('hides the cursor while it is there, and gives it back at its end and where the process ends', () => {
    const before = process.listenerCount('exit');
    const { out, written } = sheet(true);
    const screen = openScreen(out, POINTERS);
    expect(written()).toContain('\x1b[?25l');
    expect(process.listenerCount('exit')).toBe(before + 1);
    screen.show(FIGURES);
    expect(written()).not.toContain('\x1b[?25h');
    screen.close();
    expect(written()).toContain('\x1b[?25h');
    expect(process.listenerCount('exit')).toBe(before);
  });

  it('is plain lines where there is no terminal, one every other second', () => {
    const { out, seen, written } = sheet(false);
    const screen = openScreen(out, POINTERS);
    for (const seconds of [1, 2, 3, 4]) screen.show({ ...FIGURES, seconds });
    screen.close();
    expect(written()).not.toContain('\x1b');
    expect(seen()).toContain(POINTERS.lookAtLog);
    const lines = written()
      .split('\n')
      .filter((line) => line.includes('running'));
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(
      /^ +4 s {2}running {3}events\/s 1,234 {3}lag 0\.3 s {3}p50 4\.2 ms {3}p99 18 ms {3}log 98,765/,
    );
  });
});

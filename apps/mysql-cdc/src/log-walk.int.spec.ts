import { type Clock, systemClock } from '@planasonix/core';
import { eventually, startProxy, type Mysqld, type Proxy } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { walkLog } from './log-walk.js';
import { logFiles, type LogPlace } from './server.js';
import type { Sessions } from './sessions.js';
import { dial, LEGS, sessionsOf } from './trial/legs.js';

describe.each(LEGS)('going through the log of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let network: Proxy;
  let sessions: Sessions;
  let from: LogPlace;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
    network = await startProxy({ targetPort: server.port });
    // Much more than is on its way at once.
    await db.query('CREATE DATABASE w; CREATE TABLE w.t (id INT PRIMARY KEY, v LONGTEXT)');
    for (let id = 0; id < 100; id++) await db.query("INSERT INTO w.t VALUES (?, REPEAT('x', 100000))", [id]);
  });
  beforeEach(async () => {
    sessions = sessionsOf(server, type, network.port);
    const [first] = await sessions.ask(logFiles);
    from = { file: first!.file, pos: 4 };
  });
  afterEach(() => {
    sessions.close();
    network.resume();
  });
  afterAll(async () => {
    await network.stop();
    await db.end();
    await server.stop();
  });

  /** Waits for more, at a server that has fallen silent amid its log. */
  const stalled = async (clock: Clock, signal?: AbortSignal) => {
    const walk = walkLog({ sessions, clock, ...(signal && { signal }) }, from);
    await walk.next();
    network.stall();
    let [steps, seen, quiet] = [0, 0, 0];
    const outcome = (async () => {
      for await (const _ of walk) steps += 1;
    })();
    outcome.catch(() => undefined);
    await eventually('what was on its way has come', () => {
      quiet = steps === seen ? quiet + 1 : 0;
      seen = steps;
      return quiet > 3;
    });
    return { outcome };
  };
  /** No time passes: nothing ends for its silence. */
  const still: Clock = { ...systemClock, monotonic: () => 0 };

  it('ends no other walk that is under way (trap 21)', async () => {
    const steps = async (walk: AsyncGenerator<unknown>): Promise<number> => {
      let n = 0;
      for await (const _ of walk) n += 1;
      return n;
    };
    // More than all that lies between holds.
    for (let id = 100; id < 500; id++) await db.query("INSERT INTO w.t VALUES (?, REPEAT('x', 100000))", [id]);
    const all = await steps(walkLog({ sessions, clock: systemClock }, from));
    const first = walkLog({ sessions, clock: systemClock }, from);
    await first.next();
    expect(await steps(walkLog({ sessions, clock: systemClock }, from))).toBe(all);
    expect(await steps(first)).toBe(all - 1);
  });

  it('ends once its signal is aborted', async () => {
    const abort = new AbortController();
    const { outcome } = await stalled(still, abort.signal);
    abort.abort();
    await expect(outcome).rejects.toMatchObject({
      code: 'source_unreachable',
      message: 'The look at the log was ended.',
    });
  });

  it('ends once the sessions are closed', async () => {
    const { outcome } = await stalled(still);
    sessions.close();
    await expect(outcome).rejects.toMatchObject({ code: 'source_unreachable', message: 'The session was ended.' });
  });

  it('ends where the server falls silent', async () => {
    let pace = 0;
    const { outcome } = await stalled({ ...systemClock, monotonic: () => pace * systemClock.monotonic() });
    pace = 1000;
    await expect(outcome).rejects.toMatchObject({
      code: 'source_unreachable',
      message: 'The server has said nothing for 20 s.',
    });
  });
});

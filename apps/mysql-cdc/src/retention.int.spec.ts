import { systemClock } from '@planasonix/core';
import { eventually, type Mysqld } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { LogRetention } from './retention.js';
import { logFiles } from './server.js';
import type { Sessions } from './sessions.js';
import { connectionOf, dial, LEGS, sessionsOf } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

const KEPT_S = 5000;
const AGO_S = 2000;
const NOTHING_HELD = { heldBytes: 0, bytesToLoss: null, budgetBytes: null };

describe.each(LEGS)('the time until a place is lost, of $name', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;
  let sessions: Sessions;
  let stream: TrialStream;

  beforeAll(async () => {
    server = await start({ config: { binlog_expire_logs_seconds: KEPT_S } });
    db = await dial(server);
    await db.query('CREATE DATABASE r; CREATE TABLE r.t (id INT PRIMARY KEY)');
    stream = new TrialStream('str_1', { tables: ['r.t'], snapshot: 'never' }, connectionOf(server), type);
    sessions = sessionsOf(server, type);
  });
  afterAll(async () => {
    await stream.stop();
    sessions.close();
    await db.end();
    await server.stop();
  });

  /** As it will be told some time after now. */
  const inFuture = (file: string) => {
    const clock = { ...systemClock, now: () => systemClock.now() + AGO_S * 1000 };
    const kept = new LogRetention({ sessions, clock });
    return sessions.ask(async (session) =>
      kept.of(session, file, await logFiles(session), new AbortController().signal),
    );
  };

  it('is all of it in the file that is written to, and is told with the lag, also while nobody reads', async () => {
    stream.start();
    await stream.begun();
    const expected = { retention: { ...NOTHING_HELD, secondsToLoss: KEPT_S } };
    await eventually('the reader tells its lag', async () => (await stream.lag()).provedAtMs !== null);
    expect(await stream.lag()).toMatchObject(expected);
    await stream.stop();
    expect(await stream.lag()).toMatchObject(expected);
    const [last] = await sessions.ask(logFiles).then((files) => files.slice(-1));
    expect(await inFuture(last!.file)).toEqual(expected);
  });

  it('counts from when a file was closed', async () => {
    const [last] = await sessions.ask(logFiles).then((files) => files.slice(-1));
    const before = Date.now();
    await db.query('FLUSH BINARY LOGS; FLUSH BINARY LOGS');
    const { retention } = await inFuture(last!.file);
    const passed = Math.ceil((Date.now() - before) / 1000);
    expect(retention!.secondsToLoss).toBeLessThanOrEqual(KEPT_S - AGO_S);
    expect(retention!.secondsToLoss).toBeGreaterThanOrEqual(KEPT_S - AGO_S - passed - 1);
  });

  it('goes by the place that is durable, however far the log was read (Invariant 1)', async () => {
    let gate: Promise<void> | null = null;
    let [release, held] = [(): void => undefined, 0];
    const hold = (): void => {
      const before = release;
      gate = new Promise((resolve) => (release = resolve));
      before();
    };
    stream.clock = { ...systemClock, now: () => systemClock.now() + AGO_S * 1000 };
    stream.start(null, () => {
      if (gate !== null) held += 1;
      return gate ?? undefined;
    });
    try {
      await db.query('INSERT INTO r.t VALUES (1)');
      await stream.count(1);
      hold();
      await db.query('INSERT INTO r.t VALUES (2)');
      await eventually('a batch is held', () => held === 1);
      await db.query('FLUSH BINARY LOGS; INSERT INTO r.t VALUES (3)');
      hold();
      await eventually('the next one is held', () => held === 2);
      const { retention } = await stream.lag();
      expect(retention!.secondsToLoss).toBeLessThanOrEqual(KEPT_S - AGO_S);
    } finally {
      gate = null;
      release();
    }
    await stream.count(3);
    await stream.stop();
    stream.clock = systemClock;
  });

  it('is over where the file may be thrown away any time, and has no end where the server keeps its log', async () => {
    const [first] = await sessions.ask(logFiles);
    await db.query(`SET GLOBAL binlog_expire_logs_seconds = ${AGO_S / 2}`);
    expect(await inFuture(first!.file)).toEqual({ retention: { ...NOTHING_HELD, secondsToLoss: 0 } });
    if (type === 'mysql') {
      await db.query('SET GLOBAL binlog_expire_logs_auto_purge = OFF');
      expect(await inFuture(first!.file)).toEqual({ retention: { ...NOTHING_HELD, secondsToLoss: null } });
      await db.query('SET GLOBAL binlog_expire_logs_auto_purge = ON');
    }
    await db.query('SET GLOBAL binlog_expire_logs_seconds = 0');
    expect(await inFuture(first!.file)).toEqual({ retention: { ...NOTHING_HELD, secondsToLoss: null } });
  });
});

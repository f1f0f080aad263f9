import type { Check } from '@planasonix/core';
import { Failover } from './trial/failover.js';
import { connectionOf, LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(120_000);

describe.each(LEGS)('a replica of $name that does not log what it replicates', (leg) => {
  const { type } = leg;
  const at = new Failover(leg);
  beforeAll(() => at.up());
  beforeEach(async () => {
    await at.restarted({ [at.logsAll]: 'ON' });
    await at.begin();
  });
  afterEach(() => at.stream.stop());
  afterAll(() => at.down());

  const silenced = (): Promise<void> => at.restarted({ [at.logsAll]: 'OFF' });
  const there = (snapshot: string, user: object = {}): TrialStream =>
    new TrialStream('str_there', { tables: [`d${at.n}.t`], snapshot }, { ...connectionOf(at.follower), ...user }, type);
  const bad = (checks: readonly Check[]) =>
    checks.filter(({ severity, code }) => severity !== 'info' && code !== 'tls');

  it.each(['initial', 'never'])('is begun with by no stream, snapshot %s (trap 19)', async (snapshot) => {
    await at.pair.level();
    await silenced();
    const stream = there(snapshot);
    const message = expect.stringContaining('does not log what it replicates') as string;
    const fix = expect.stringContaining('RESET REPLICA ALL') as string;
    expect(bad(await stream.check())).toEqual([{ code: 'binlog_format_unsupported', severity: 'error', message, fix }]);
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'binlog_format_unsupported', message, hint: fix });
    expect([stream.connected, stream.events]).toEqual([false, []]);
  });

  it('is begun with once it has forgotten its primary', async () => {
    await at.pair.level();
    await silenced();
    await at.pair.promote();
    const stream = there('initial');
    expect(bad(await stream.check())).toEqual([]);
    stream.start();
    await stream.begun();
    await at.replica.query(`INSERT INTO d${at.n}.t VALUES (4, 'd')`);
    await stream.count(4);
    await stream.stop();
  });

  it('has its rows read where no change is asked for', async () => {
    await at.pair.level();
    await silenced();
    const stream = there('only');
    expect(bad(await stream.check())).toEqual([]);
    stream.start();
    expect(await stream.outcome()).toBeNull();
    expect(stream.events).toHaveLength(3);
  });

  it('is not gone on with by a stream that read it when it did (Invariant 2)', async () => {
    const stream = there('never');
    stream.start();
    await stream.begun();
    await at.db.query("INSERT INTO t VALUES (4, 'd')");
    await stream.count(1);
    await stream.stop();
    await silenced();
    await at.db.query("INSERT INTO t VALUES (5, 'e')");
    await at.pair.level();
    const fix = expect.stringMatching(/RESET REPLICA ALL.*resnapshot/) as string;
    // Before reading: what was not logged is missing also once the server logs again, and a decision has to be asked for.
    expect(bad(await stream.check())).toEqual([
      expect.objectContaining({ code: 'offset_gap', severity: 'error', fix }),
    ]);
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'offset_gap', recourse: 'lost', hint: fix });
    await expect(stream.lag()).rejects.toMatchObject({ code: 'offset_gap' });
    // Nothing is decided by beginning where nothing would come.
    const checks = await stream.check('resnapshot');
    expect(bad(checks)).toEqual([expect.objectContaining({ code: 'binlog_format_unsupported', severity: 'error' })]);
    stream.start('resnapshot');
    expect(await stream.outcome()).toMatchObject({ code: 'binlog_format_unsupported' });
  });

  it('is seen by looks of a stream whose address has moved to it while it did (Invariant 2)', async () => {
    await at.settled(3);
    at.stream.server = connectionOf(at.follower);
    await at.stream.lag();
    await silenced();
    await expect(at.stream.lag()).rejects.toMatchObject({
      code: 'source_identity_changed',
      hint: expect.stringContaining('resnapshot') as string,
    });
  });

  if (type === 'mariadb')
    it('may be one of which a user can not ask that, who is told so', async () => {
      await at.pair.level();
      await silenced();
      await at.replica.query(`CREATE OR REPLACE USER few@'%' IDENTIFIED BY 'secret-canary';
        GRANT SELECT, BINLOG MONITOR, REPLICATION SLAVE ON *.* TO few@'%'`);
      const stream = there('never', { user: 'few', password: 'secret-canary' });
      const fix = "GRANT SLAVE MONITOR ON *.* TO 'few'@'%';";
      const told = bad(await stream.check()).filter((one) => one.fix === fix);
      expect(told).toEqual([expect.objectContaining({ code: 'replicated', severity: 'warning' })]);
      await at.replica.query(fix);
      expect(bad(await stream.check())).toContainEqual(expect.objectContaining({ code: 'binlog_format_unsupported' }));
    });
});

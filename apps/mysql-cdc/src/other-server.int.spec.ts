import { eventually } from '@planasonix/testing';
import { Failover } from './trial/failover.js';
import { connectionOf, LEGS } from './trial/legs.js';

jest.setTimeout(120_000);

describe.each(LEGS)('a stream of $name at a server that can not go on from the one before', (leg) => {
  const { type } = leg;
  const at = new Failover(leg);
  beforeAll(() => at.up());
  beforeEach(() => at.begin());
  afterEach(() => at.stream.stop());
  afterAll(() => at.down());

  /** At the replica, for a look and for reading. */
  const refused = async (code: string, message: RegExp, hint = /onLostPosition/): Promise<void> => {
    const { stream } = at;
    const [before, count] = [stream.positions.get(''), stream.events.length];
    stream.server = connectionOf(at.follower);
    await expect(stream.lag()).rejects.toMatchObject({ code });
    stream.start();
    expect(await stream.outcome()).toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
      hint: expect.stringMatching(hint) as string,
    });
    expect(stream.events).toHaveLength(count);
    expect(stream.positions.get('')).toBe(before);
  };

  it('ends where the replica never got what was read (errant transactions of the primary)', async () => {
    await at.pair.level();
    await at.pair.promote();
    await at.db.query("INSERT INTO t VALUES (4, 'lost')");
    await at.stream.count(4);
    await at.stream.stop();
    await refused('source_identity_changed', /The server lacks .*never reached it|none of the transactions that were read last/); // prettier-ignore
  });

  it('ends where the replica wrote by itself before what was read (errant transactions of the replica)', async () => {
    await at.pair.level();
    await at.replica.query("INSERT INTO t VALUES (99, 'errant')");
    await at.db.query("INSERT INTO t VALUES (4, 'd')");
    await at.settled(4);
    await refused('source_identity_changed', /which was not read, before/);
  });

  it('ends where the replica has thrown away what was not read', async () => {
    await at.settled(3);
    await at.db.query("INSERT INTO t VALUES (4, 'gone')");
    await at.pair.level();
    await at.replica.query('FLUSH BINARY LOGS');
    await at.purgedTo('binlog.000002');
    await refused('log_purged', /thrown away transactions that were not read/);
  });

  it('ends where the log of the replica was reset', async () => {
    await at.settled(3);
    await at.pair.promote();
    await at.pair.reset(at.replica);
    await at.replica.query("INSERT INTO t VALUES (4, 'd')");
    await refused('source_identity_changed', /log was reset/);
  });

  it('ends where the replica does not log what it replicates', async () => {
    await at.settled(3);
    await at.restarted({ [at.logsAll]: 'OFF' });
    try {
      at.stream.start();
      await at.db.query("INSERT INTO t VALUES (4, 'd')");
      await at.settled(4);
      await at.replica.query('FLUSH BINARY LOGS');
      await refused('source_identity_changed', /does not log what it replicates/, /RESET REPLICA ALL.*resnapshot/);
      const fix = expect.stringContaining('resnapshot') as string;
      expect(await at.stream.check()).toContainEqual(
        expect.objectContaining({ code: 'source_identity_changed', severity: 'error', fix }),
      );
    } finally {
      await at.restarted({ [at.logsAll]: 'ON' });
    }
  });

  if (type === 'mysql') {
    it('ends where a copy has what was not read', async () => {
      await at.settled(3);
      await at.db.query("INSERT INTO t VALUES (4, 'gone')");
      await at.pair.copied();
      await at.db.query("INSERT INTO t VALUES (5, 'e')");
      await at.pair.level();
      await refused('log_purged', /thrown away transactions that were not read/);
    });

    it('ends where the other server has no GTIDs', async () => {
      await at.settled(3);
      await at.pair.promote();
      await at.replica.query('SET GLOBAL gtid_mode = ON_PERMISSIVE');
      at.stream.server = connectionOf(at.follower);
      at.stream.start();
      expect(await at.stream.outcome()).toMatchObject({
        code: 'source_identity_changed',
        hint: expect.stringContaining('gtid_mode = ON') as string,
      });
      await at.replica.query('SET GLOBAL gtid_mode = ON');
    });
  } else {
    it.each(['the transaction that was read last', 'one of a file before', 'the last one before the start'])(
      'ends where the same GTIDs are those of another history, told by %s (trap 20a)',
      async (told) => {
        const { file } = at.placeOf();
        if (told === 'one of a file before') {
          await at.db.query('FLUSH BINARY LOGS');
          await eventually('the place is in the next file', () => at.placeOf().file !== file);
        }
        if (told === 'the last one before the start') await at.idle();
        else await at.settled(3);
        await at.pair.promote();
        await at.pair.reset(at.replica);
        const [[row]] = (await at.db.query('SELECT @@GLOBAL.gtid_binlog_pos AS at')) as unknown as [[{ at: string }]];
        const last = Number(row.at.split('-')[2]);
        await at.replica.query('SET SESSION server_id = 1, timestamp = 1600000000');
        for (let id = 0; id <= last; id++) await at.replica.query(`INSERT INTO t VALUES (${50 + id}, 'twin')`);
        await at.replica.query('SET SESSION server_id = 2, timestamp = DEFAULT');
        await refused('source_identity_changed', /another history/);
      },
    );

    it.each([
      ['the log there no longer has the last transaction', /no longer has 0-1-/],
      ['nothing is known of the last transaction', /nothing is known of the last/],
    ])('ends where %s, and goes on where somebody says that it is a replica', async (what, message) => {
      await at.settled(3);
      if (what.startsWith('the log')) {
        await at.replica.query('FLUSH BINARY LOGS');
        await at.purgedTo('binlog.000002');
      } else at.stream.positions.set('', JSON.stringify({ ...at.placeOf(), at: null }));
      await refused('source_identity_changed', message, /onLostPosition/);
      const { hint } = (await at.stream.outcome())!;
      const wanted: unknown = JSON.parse(/set the position to (\{.*?\})/.exec(hint)![1]!);
      for (const [name, text] of await at.stream.settle(wanted)) at.stream.positions.set(name, text);
      const before = at.stream.events.length;
      await at.db.query("INSERT INTO t VALUES (4, 'd')");
      const next = at.make();
      for (const [name, text] of at.stream.positions) next.positions.set(name, text);
      next.server = connectionOf(at.follower);
      next.start();
      await next.count(1);
      await next.stop();
      expect(before).toBe(3);
      expect(at.rows(next)).toEqual([['c', 4]]);
    });
  }
});

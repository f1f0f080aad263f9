import { eventually } from '@planasonix/testing';
import { LEGS } from '../trial/legs.js';
import { expectEqual, fill, MARKS, rowsOf, serverUnderTest, settle, untilHeld } from './server-under-test.js';

// MariaDB says the place of a transaction itself, whoever asks.
describe.each(LEGS.filter(({ name }) => name === 'MySQL'))('rows of $name without GTIDs', (leg) => {
  const one = serverUnderTest(leg, { config: { gtid_mode: 'OFF', enforce_gtid_consistency: 'OFF' } });

  beforeAll(async () => {
    await one.db.query(`${MARKS}; CREATE DATABASE l; CREATE TABLE l.t (id INT PRIMARY KEY, v INT);
      CREATE TABLE l.heap (id INT, v INT)`);
    await fill(one.db, 'l.t', 25_000, (n) => `${n}, 0`);
    for (const [user, right, on] of [
      ['locks', 'LOCK TABLES', '*.*'],
      ['reloads', 'RELOAD', '*.*'],
      ['neither', 'SELECT', 'l.*'],
    ])
      await one.db.query(`CREATE USER ${user}@'%' IDENTIFIED BY 'secret-canary';
        GRANT REPLICATION CLIENT, REPLICATION SLAVE, XA_RECOVER_ADMIN ON *.* TO ${user}@'%';
        GRANT SELECT ON l.* TO ${user}@'%'; GRANT SELECT ON m.* TO ${user}@'%'; GRANT ${right} ON ${on} TO ${user}@'%'`);
  });

  const streamOf = (user: string) => one.stream({ tables: ['l.*', 'm.marks'] }, { user, password: 'secret-canary' });
  const errors = async (user: string) =>
    (await streamOf(user).check()).filter(({ severity }) => severity === 'error').map(({ code, fix }) => [code, fix]);

  it.each(['locks', 'reloads'])('are those of the tables for a user who %s, while writers write', async (user) => {
    await one.db.query('DELETE FROM l.heap; INSERT INTO l.heap VALUES (0, 0)');
    expect(await errors(user)).toEqual([]);
    let writing = true;
    const writers = [1, 2].map(async (n) => {
      const session = await one.session();
      for (let i = n; writing; i += 2)
        await session.query(`START TRANSACTION; UPDATE l.t SET v = v + 1 WHERE id = ${1 + ((i * 37) % 25_000)};
          INSERT INTO l.heap VALUES (${i}, 1); COMMIT`);
    });
    const stream = streamOf(user);
    stream.start();
    await stream.begun(60_000).finally(() => (writing = false));
    await Promise.all(writers);
    await settle(stream, one.db);
    await expectEqual(stream, one.db, 'l.t', 'id, v');
    const heap = stream.events.filter(({ subject }) => subject === 'l.heap').map(({ data }) => JSON.parse(data.toString()) as { op: string; after: { id: number } | null }); // prettier-ignore
    const ids = heap.slice(heap.findLastIndex(({ op }) => op === 't') + 1).map(({ after }) => after!.id);
    const [rows] = await one.db.query('SELECT id FROM l.heap');
    const byNumber = (a: number, b: number): number => a - b;
    expect(ids.sort(byNumber)).toEqual((rows as { id: number }[]).map(({ id }) => id).sort(byNumber));
    expect(rowsOf(stream, 'l.t').length).toBeLessThanOrEqual(25_000);
  });

  it('do not overtake a commit that is in the log and not visible yet (trap 13)', async () => {
    const stream = streamOf('locks');
    stream.start();
    await stream.begun();
    const writer = await one.session();
    await one.holdCommits();
    const commit = writer.query('UPDATE l.t SET v = 4242 WHERE id = 1000');
    await untilHeld(one);
    await stream.seen('"v":4242');
    stream.order('snap_held', ['l.t'], 'id = 1000');
    await eventually('it says what it waits for', () =>
      stream.progress()?.tables?.some((of) => of.note?.includes('waits for transactions')),
    );
    await one.letCommits();
    await commit;
    expect(await stream.ended('snap_held')).toBeNull();
    await expectEqual(stream, one.db, 'l.t', 'id, v');
  });

  it('are refused for a user who may neither, which the preflight says', async () => {
    expect(await errors('neither')).toEqual([['permission_denied', "GRANT LOCK TABLES ON *.* TO 'neither'@'%';"]]);
    const stream = streamOf('neither');
    stream.start();
    expect(await stream.outcome()).toMatchObject({ code: 'permission_denied' });
    expect(stream.events).toEqual([]);
  });
});

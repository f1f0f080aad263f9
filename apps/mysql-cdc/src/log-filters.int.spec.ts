import type { Mysqld, MysqldOptions } from '@planasonix/testing';
import type { Connection } from 'mysql2/promise';
import { connectionOf, dial, LEGS } from './trial/legs.js';
import { TrialStream } from './trial/trial-stream.js';

jest.setTimeout(180_000);

const LOGS = { log_bin: 'binlog', skip_log_bin: null, binlog_ignore_db: null, binlog_do_db: null };
const SILENT = { log_bin: null, skip_log_bin: true } as const;

describe.each(LEGS)('a server of $name that was restarted and logs less than before', ({ type, start }) => {
  let server: Mysqld;
  let db: Connection;

  beforeAll(async () => {
    server = await start();
    db = await dial(server);
    await db.query('CREATE DATABASE l; CREATE DATABASE other');
    await db.query('CREATE TABLE l.t (id INT PRIMARY KEY); CREATE TABLE other.t (id INT PRIMARY KEY)');
  });
  afterEach(() => restarted(LOGS));
  afterAll(async () => {
    await db.end();
    await server.stop();
  });

  async function restarted(config: MysqldOptions['config']): Promise<void> {
    await db.end();
    await server.shutDown();
    await server.start(config);
    db = await dial(server);
  }

  const streamOf = (...tables: string[]) =>
    new TrialStream('str_l', { tables, snapshot: 'never' }, connectionOf(server), type);
  const errors = async (stream: TrialStream) =>
    (await stream.check()).filter(({ severity }) => severity === 'error').map(({ code }) => code);
  /** It has read of the log when that was whole. */
  async function hasRead(id: number): Promise<TrialStream> {
    const stream = streamOf('l.t');
    stream.start();
    await stream.begun();
    await db.query('INSERT INTO l.t VALUES (?)', [id]);
    await stream.count(1);
    await stream.stop();
    return stream;
  }
  const lost = { code: 'offset_gap', recourse: 'lost', hint: expect.stringContaining('onLostPosition') as string };

  it.each([
    ['no log', SILENT, 1],
    ['no changes of a database that the stream reads', { binlog_ignore_db: 'l' }, 2],
    ['another database alone', { binlog_do_db: 'other' }, 3],
  ] as const)('%s: what was changed meanwhile is lost, and is said to be (Invariant 2)', async (_, config, id) => {
    const stream = await hasRead(id);
    await restarted(config);
    await db.query('USE l; INSERT INTO t VALUES (?)', [100 + id]);
    expect(await errors(stream)).toContain('offset_gap');
    stream.start();
    expect(await stream.outcome()).toMatchObject(lost);
    // Nothing is decided by beginning where nothing would come.
    stream.start('resnapshot');
    expect(await stream.outcome()).toMatchObject({ code: 'binlog_format_unsupported' });
    expect(await errors(streamOf('l.t'))).toEqual(['binlog_format_unsupported']);
  });

  it('loses nothing of tables that the stream has not read: it only can not have them', async () => {
    const stream = await hasRead(4);
    await restarted({ binlog_ignore_db: 'other' });
    stream.config = { ...stream.config, tables: ['l.t', 'other.t'] };
    expect(await errors(stream)).toEqual(['binlog_format_unsupported']);
    stream.start();
    expect(await stream.outcome()).toMatchObject({
      ...{ code: 'binlog_format_unsupported', message: 'The server does not log changes of other.' },
    });
    stream.config = { ...stream.config, tables: ['l.t'] };
    stream.start();
    await stream.begun();
    await db.query('USE l; INSERT INTO t VALUES (104)');
    await stream.seen('"id":104');
    await stream.stop();
  });
});

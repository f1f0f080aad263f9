import { EXECUTED, UUID } from './trial/recorded-events.js';
import { recordedMySql, RELEASES } from './trial/recorded-mysql.js';
import { playRecording, type RecordedServer } from './trial/recorded-server.js';
import { TrialStream } from './trial/trial-stream.js';

type Settings = Readonly<Record<string, string>>;
/** What a user has to set before a stream can begin. */
const SET_UP: Settings = { binlog_row_metadata: 'FULL', gtid_mode: 'ON' };

describe.each(RELEASES)('MySQL $version, as far as a recording goes', (release) => {
  let servers: RecordedServer[] = [];
  const streams: TrialStream[] = [];

  const stream = async (settings: Settings, config: object = {}, user: object = {}): Promise<TrialStream> => {
    const server = await playRecording(recordedMySql(release, settings));
    servers.push(server);
    const at = { host: '127.0.0.1', port: server.port, user: 'cdc', password: 'secret-canary', sslMode: 'disable' };
    const one = new TrialStream('str_recorded', { tables: ['shop.orders'], ...config }, { ...at, ...user }, 'mysql');
    streams.push(one);
    return one;
  };
  const problems = async (one: TrialStream) =>
    (await one.check()).flatMap(({ severity, code, fix }) => (severity === 'info' ? [] : [[code, fix]]));
  const short = (one: TrialStream) =>
    one.data().map(({ op, before, after, source }) => [op, (after ?? before)?.['customer'] ?? null, source['gtid']]);

  afterEach(async () => {
    for (const one of streams.splice(0)) await one.stop();
    for (const server of servers) server.close();
    const unknown = servers.flatMap((server) => server.unknown);
    servers = [];
    // Nothing is asked that this version does not know.
    expect(unknown).toEqual([]);
  });

  it('passes the preflight once it writes the names of columns; until then it is said how that is set', async () => {
    expect(await problems(await stream({}))).toEqual([
      ['row_image_unsupported', 'SET GLOBAL binlog_row_metadata = FULL;'],
    ]);
    expect(await problems(await stream(SET_UP))).toEqual([]);
  });

  it('lets nobody in by another password (caching_sha2_password)', async () => {
    expect(await (await stream(SET_UP, {}, { password: 'another' })).check()).toMatchObject([{ code: 'auth_failed' }]);
  });

  it('is asked which numbers its replicas have', async () => {
    const one = await stream(SET_UP, { server_id: 1000 });
    expect(await problems(one)).toEqual([['config_invalid', expect.anything()]]);
    one.start();
    const message = 'server_id 1000 belongs to another.';
    expect(await one.outcome()).toMatchObject({ code: 'config_invalid', message });
  });

  const CHANGES = [
    ['c', 'Zoë', `${UUID}:4`],
    ['u', 'Ada', `${UUID}:4`],
    ['d', 'Bo', `${UUID}:4`],
    // In a compressed transaction.
    ['c', 'Cy', `${UUID}:5`],
    ['c', 'Cy', `${UUID}:5`],
    // Tags are not followed.
    ...(release.tags ? [['c', 'Di', null]] : []),
    ['u', 'Ada', `${UUID}:7`],
    ['t', null, `${UUID}:8`],
  ];

  it('is read: rows, then changes, also of a table that changes', async () => {
    const one = await stream(SET_UP);
    one.start();
    await one.count(2 + CHANGES.length);
    const isRow = ([op]: readonly unknown[]): boolean => op === 'r';
    expect(short(one).filter(isRow)).toEqual([
      ['r', 'Ada', null],
      ['r', 'Bo', null],
    ]);
    expect(short(one).filter((event) => !isRow(event))).toEqual(CHANGES);
    await one.seen(
      '"after":{"id":18446744073709551615,"customer":"Zoë","total":1234567890.99,"placed":"9999-12-31T23:59:59.999","doc":[1, "x"]}',
    );
    await one.seen('"note":"nnn"');
    expect(one.positions.get('')).toContain(`"gtids":${release.tags ? 'null' : `"${UUID}:1-8"`}`);
  });

  it('is gone on at by GTID, also where it says that it replicates from nobody', async () => {
    const one = await stream({ ...SET_UP, log_slave_updates: 'OFF', log_replica_updates: 'OFF' });
    const before = { phase: 'stream', server: 'mysql:another', file: 'bin.000009', pos: 77, gtid: null, attempt: 1 };
    one.positions.set('', JSON.stringify({ ...before, gtids: EXECUTED, proof: null, head: null, kinds: {} }));
    one.positions.set(
      '#asked',
      JSON.stringify({ asked: [{ tables: ['shop.orders'], exclude_tables: [] }], unread: [] }),
    );
    one.start();
    await one.count(CHANGES.length);
    expect(short(one)).toEqual(CHANGES);
  });
});

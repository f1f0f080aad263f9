import { createConnection, type Connection } from 'mysql2/promise';
import { mySqlRoot, newerMariaDbRoot, startMariaDb, startMySql, startNewerMariaDb, type Mysqld } from '../index.js';

const legs = [
  { name: 'MariaDB', begin: startMariaDb, there: true },
  { name: 'MySQL', begin: startMySql, there: mySqlRoot(console.warn) !== null },
  { name: 'MariaDB 11.8', begin: startNewerMariaDb, there: newerMariaDbRoot(console.warn) !== null },
] as const;

describe.each(legs.filter(({ there }) => there))('$name', ({ begin }) => {
  let server: Mysqld;
  beforeAll(async () => {
    server = await begin({ config: { sort_buffer_size: 300_032 } });
  });
  afterAll(() => server.stop());

  const dial = (): Promise<Connection> => {
    const { host, port, user, password } = server;
    return createConnection({ host, port, user, password });
  };

  it('writes whole rows with full metadata, takes settings, and comes back after a crash', async () => {
    const before = await dial();
    const [[settings]] = (await before.query(
      'SELECT @@binlog_format AS format, @@binlog_row_image AS image, @@binlog_row_metadata AS metadata, @@sort_buffer_size AS size',
    )) as unknown as [[unknown]];
    expect(settings).toEqual({ format: 'ROW', image: 'FULL', metadata: 'FULL', size: 300_032 });
    await before.query('CREATE DATABASE kept');
    before.destroy();
    await server.kill();
    await server.start();
    const after = await dial();
    const [found] = await after.query("SHOW DATABASES LIKE 'kept'");
    expect(found).toHaveLength(1);
    after.destroy();
  });
});

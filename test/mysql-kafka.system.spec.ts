import { eventually, kcat, startMariaDb, type Kafka, type Mysqld } from '@planasonix/testing';
import { createConnection, type Connection } from 'mysql2/promise';
import { fold, repeatedIds, type LogEvent } from './log.js';
import { addKafka, startProduct, type Product } from './product.js';
import { makePipeline, start } from './shop.js';
import type { Stack } from './stack.js';

jest.setTimeout(300_000);

const TOPIC = 'cdc.shop.ledger';
const TOMBSTONE = 'com.planasonix.row.tombstone';

interface Row {
  readonly id: number;
  readonly txn: number;
  readonly n: number;
  /** Rows that its transaction has inserted. */
  readonly of_txn: number;
}

describe('MariaDB into Kafka, from outside', () => {
  let source: Mysqld;
  let kafka: Kafka;
  let db: Connection;
  let stack: Stack;
  let product: Product;
  let id: string;

  const dial = async () => {
    const { host, port, user, password } = source;
    db = await createConnection({ host, port, user, password, multipleStatements: true });
  };
  const redial = async (): Promise<boolean> => {
    db.destroy();
    await dial();
    return true;
  };

  beforeAll(async () => {
    product = await startProduct('mysql-cdc');
    ({ stack } = product);
    const added = await addKafka(product);
    kafka = added.kafka;
    source = await startMariaDb();
    product.endAfter(() => source.stop());
    await dial();
    product.endBefore(() => db.end());
    await db.query(`CREATE DATABASE shop; USE shop;
      CREATE TABLE ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, txn INT, n INT, of_txn INT);
      INSERT INTO ledger (txn, n, of_txn) SELECT -seq, 0, 1 FROM seq_1_to_500`);
    const { host, port, user, password } = source;
    const connection = await stack.api('POST', '/api/connections', {
      ...{ name: 'shop', type: 'mariadb', config: { host, port, user, password, sslMode: 'prefer' } },
    });
    const pipelineId = await makePipeline(stack, 'kafka', {
      ...{ type: 'kafka', connectionId: added.connectionId, topic: 'cdc.{schema}.{table}', tombstones: true },
      createTopics: { partitions: 3, replicationFactor: 1 },
    });
    const made = await stack.api('POST', '/api/streams', {
      ...{ name: 'ledger', sourceType: 'mysql_cdc', connectionId: connection.id, pipelineId },
      config: { tables: ['shop.ledger'] },
    });
    expect({ status: made.status, text: made.text }).toMatchObject({ status: 201 });
    id = made.id;
  });
  afterAll(() => product?.end());

  let transactions = 0;
  async function transaction(): Promise<void> {
    const txn = ++transactions;
    const of = 1 + (txn % 5);
    const rows = Array.from({ length: of }, (_, i) => `(${txn}, ${i}, ${of})`).join();
    await db.query(`USE shop; START TRANSACTION; INSERT INTO ledger (txn, n, of_txn) VALUES ${rows};
      UPDATE ledger SET n = ${txn} WHERE txn = ${txn - 3}; DELETE FROM ledger WHERE txn = ${txn - 30}; COMMIT`);
  }

  /** What librdkafka reads, committed alone. */
  async function seen(): Promise<{ readonly events: readonly LogEvent[]; readonly tombstones: readonly string[] }> {
    const args = ['-b', kafka.brokers.join(','), '-C', '-t', TOPIC, '-e', '-q', '-J'];
    const out = (await kcat([...args, '-X', 'isolation.level=read_committed'])).toString();
    const events: LogEvent[] = [];
    const tombstones: string[] = [];
    for (const line of out.split('\n').slice(0, -1)) {
      const { headers, payload } = JSON.parse(line) as { headers: string[]; payload: string | null };
      const header = (name: string) => headers[headers.indexOf(`ce_${name}`) + 1]!;
      const [id, type, subject, partitionkey] = ['id', 'type', 'subject', 'partitionkey'].map(header) as [string, string, string, string]; // prettier-ignore
      if (type === TOMBSTONE) tombstones.push(id);
      const text = payload ?? 'null';
      if (payload !== null)
        events.push({
          ...{ entry: '', id, type, subject, partitionkey, time: header('time'), source: header('source') },
          ...{ text, data: JSON.parse(text) },
        });
    }
    return { events, tombstones };
  }

  /** A row that is written now is there, and so is all before it. */
  async function arrives(what: string): Promise<void> {
    const [made] = await db.query('INSERT INTO shop.ledger (txn, n, of_txn) VALUES (0, 0, 1)');
    const { insertId } = made as { insertId: number };
    await eventually(
      what,
      async () => (await seen()).events.some(({ data }) => data.op === 'c' && data.after?.['id'] === insertId),
      { timeoutMs: 90_000, everyMs: 250 },
    );
  }

  it('has what the table has, each event once and each transaction whole, whatever is killed', async () => {
    await start(stack, id);
    expect((await stack.api('POST', `/api/streams/${id}/check`)).a).toMatchObject({ ok: true });
    let writing = true;
    let session = Promise.resolve();
    // One that fails may have been committed; what the table holds in the end is what counts.
    const write = async () => {
      while (writing) await transaction().catch(() => eventually('the server is back', redial, { timeoutMs: 60_000 }));
    };
    const between = async (kill: () => unknown, what: string) => {
      writing = true;
      const before = transactions;
      session = write();
      await eventually('something is written', () => Promise.resolve(transactions > before + 30));
      await kill();
      writing = false;
      await session;
      await arrives(what);
    };
    const workers = () => stack.pids('mysql-cdc').forEach((pid) => process.kill(pid, 'SIGKILL'));
    await between(() => undefined, 'changes come');
    await between(workers, 'changes come after its workers were killed');
    await between(async () => {
      await kafka.nodes[0]!.kill();
      await kafka.nodes[0]!.start();
    }, 'changes come after the broker was killed');
    await between(async () => {
      await source.kill();
      await source.start();
    }, 'changes come after the server was killed');
    // One that takes some time, with its workers killed in the middle.
    const many = 30_000;
    await db.query(`INSERT INTO shop.ledger (txn, n, of_txn) SELECT 1000000, 0, ${many} FROM shop.seq_1_to_${many}`);
    workers();
    await arrives('all of a large transaction comes');
    const { events, tombstones } = await seen();
    expect(repeatedIds(events)).toBe(0);
    expect([...tombstones].sort()).toEqual(events.filter(({ data }) => data.op === 'd').map((one) => `${one.id}/t`).sort()); // prettier-ignore
    const [rows] = await db.query('SELECT id, txn, n, of_txn FROM shop.ledger');
    const table = (rows as Row[]).map((row) => [`shop.ledger {"id":${row.id}}`, row] as const);
    const folded = [...fold(events)].map(([key, row]) => [key, row] as const);
    const byKey = (all: readonly (readonly [string, unknown])[]) => new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1))); // prettier-ignore
    expect(byKey(folded)).toEqual(byKey(table.map(([key, row]) => [key, { ...row }] as const)));
    const inserted = new Map<number, number>();
    for (const { data } of events)
      if (data.op === 'c') {
        const { txn, of_txn: of } = data.after as unknown as Row;
        if (txn > 0) inserted.set(txn, (inserted.get(txn) ?? 0) + 1 / of);
      }
    expect([...inserted].filter(([, share]) => Math.abs(share - 1) > 1e-6)).toEqual([]);
    await eventually('the total is what is there', async () => {
      const { a } = await stack.api('GET', `/api/streams/${id}/metrics?window=1m`);
      return a.total_events === events.length;
    });
  });
});

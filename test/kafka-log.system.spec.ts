import { eventually, kcat, startKafka, type Kafka } from '@planasonix/testing';
import { makeStream, start, status } from './shop.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(300_000);

interface Seen {
  readonly id: string;
  readonly partition: number;
  readonly type: string;
  readonly row: { readonly id: number; readonly txn: number; readonly of: number } | null;
}

interface Look {
  readonly attributes: { readonly data: { readonly after: { readonly id: number } } };
}

describe('from Postgres into Kafka', () => {
  let world: World;
  let kafka: Kafka;
  let kafkaConnection: string;
  let id: string;
  let writing = true;
  let writers: Promise<unknown>;

  beforeAll(async () => {
    kafka = await startKafka();
    // The counters go the same way.
    const counters = { METRICS_TRANSPORT: 'kafka', METRICS_KAFKA_BROKERS: kafka.brokers.join(',') };
    world = await makeWorld({ WORKERS: '2', ...counters });
    await world.source.query('CREATE TABLE ledger(id bigserial PRIMARY KEY, txn bigint, of int)');
    await world.source.query('INSERT INTO ledger(txn, of) SELECT -i, 1 FROM generate_series(1, 3000) i');
    const made = await api('POST', '/api/connections', {
      name: 'log',
      type: 'kafka',
      config: { brokers: kafka.brokers },
    });
    expect(made.status).toBe(201);
    kafkaConnection = made.id;
  });
  afterAll(async () => {
    writing = false;
    await writers;
    await world?.end();
    await kafka?.stop();
  });

  const api = (method: string, route: string, body?: unknown) => world.stack.api(method, route, body);
  const output = (more: object = {}) => ({
    type: 'kafka',
    connectionId: kafkaConnection,
    topic: 'cdc.{stream}',
    createTopics: { partitions: 3, replicationFactor: 1 },
    ...more,
  });

  /** What librdkafka reads of it, committed alone. */
  async function seen(topic = `cdc.${id}`): Promise<Seen[]> {
    const args = ['-b', kafka.brokers.join(','), '-C', '-t', topic, '-e', '-q', '-J'];
    const out = await kcat([...args, '-X', 'isolation.level=read_committed']);
    return out
      .toString()
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const { partition, headers, payload } = JSON.parse(line) as {
          partition: number;
          headers: string[];
          payload: string;
        };
        const header = (name: string) => headers[headers.indexOf(name) + 1]!;
        return { id: header('ce_id'), partition, type: header('ce_type'), row: JSON.parse(payload).after };
      });
  }

  async function write(): Promise<void> {
    const session = await world.session();
    for (let txn = 1; writing; txn++) {
      const of = 1 + (txn % 5);
      await session.query('INSERT INTO ledger(txn, of) SELECT $1, $2 FROM generate_series(1, $2::int)', [txn, of]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** A row that is written now arrives, or one after it: readers that end at the end never end while others write. */
  async function arrives(): Promise<void> {
    const { rows } = await world.source.query('INSERT INTO ledger(txn, of) VALUES (0, 1) RETURNING id::int AS id');
    const [{ id: row }] = rows as [{ id: number }];
    const newest = async () => (await api('GET', `/api/streams/${id}/events?limit=100`)).json.data as Look[];
    await eventually(
      'it arrives',
      async () => (await newest()).some(({ attributes }) => attributes.data.after.id >= row),
      {
        timeoutMs: 60_000,
        everyMs: 250,
      },
    );
  }

  it('refuses an output that can not be', async () => {
    const put = (more: object) => api('POST', '/api/pipelines', { name: 'no', output: output(more) });
    const refused = async (more: object, field: string) => {
      const answer = await put(more);
      expect([answer.status, answer.json.error.details[0].field]).toEqual([400, field]);
    };
    await refused({ connectionId: world.connectionId }, 'output.connection_id');
    await refused({ connectionId: 'conn_01j9k9z0a1b2c3d4e5f6g7h8j9' }, 'output.connection_id');
    await refused({ topic: 'cdc.{tabel}' }, 'output.topic');
    await refused({ topics: 'x' }, 'output.topics');
    await refused({ type: 'papyrus' }, 'output.type');
  });

  it('takes rows and changes, and shows them to readers of what is committed', async () => {
    const made = await api('POST', '/api/pipelines', { name: 'kafka', output: output() });
    expect([made.status, made.json.output]).toEqual([201, { ...output(), tombstones: false }]);
    id = await makeStream(world.stack, {
      name: 'ledger',
      connectionId: world.connectionId,
      pipelineId: made.id,
      config: { tables: ['public.ledger'] },
    });
    const check = await api('POST', `/api/streams/${id}/check`);
    expect(check.a).toMatchObject({ ok: true });
    expect((await api('DELETE', `/api/connections/${kafkaConnection}`)).status).toBe(409);
    writers = write();
    await start(world.stack, id);
    await arrives();
  });

  it('loses and repeats nothing when workers are killed or frozen and the broker is killed', async () => {
    for (let round = 0; round < 2; round++) {
      for (const pid of world.stack.pids('postgres-cdc')) process.kill(pid, 'SIGKILL');
      await arrives();
    }
    const store = await world.postgres.connect('meta');
    const owner = async () => {
      const { rows } = await store.query('SELECT lease_owner FROM streams WHERE id = $1', [id]);
      return String((rows as { lease_owner: string | null }[])[0]!.lease_owner);
    };
    const frozen = world.stack.pids('postgres-cdc');
    const before = await owner();
    const pid = frozen.find((one) => before.includes(`-${one}-`))!;
    process.kill(pid, 'SIGSTOP');
    try {
      await eventually('another takes over', async () => !['null', before].includes(await owner()), {
        timeoutMs: 60_000,
      });
      await arrives();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await arrives();
    await store.end();
    await kafka.nodes[0]!.kill();
    await kafka.nodes[0]!.start();
    await arrives();
    writing = false;
    await writers;
    await arrives();
    const rows = (await world.source.query('SELECT id::int AS id FROM ledger ORDER BY id')).rows as { id: number }[];
    const events = await eventually('all is committed', async () => {
      const found = await seen();
      const known = new Set(found.map(({ row }) => row!.id));
      expect(rows.filter((row) => !known.has(row.id))).toEqual([]);
      return found;
    });
    expect(events.length - new Set(events.map((one) => one.id)).size).toBe(0);
    const changes = events.filter(({ type }) => type.endsWith('insert')).map(({ row }) => row!.id);
    expect(changes.length).toBe(new Set(changes).size);
    await eventually('the total is what is there', async () => {
      const metrics = await api('GET', `/api/streams/${id}/metrics?window=1m`);
      return metrics.a.total_events === events.length;
    });
  });

  /** How far the partitions go together, whatever is committed. */
  async function written(): Promise<number> {
    const asked = [0, 1, 2].flatMap((partition) => ['-t', `cdc.${id}:${partition}:-1`]);
    const args = ['-b', kafka.brokers.join(','), '-Q', ...asked, '-X', 'isolation.level=read_uncommitted'];
    const ends = (await kcat(args)).toString().matchAll(/offset (\d+)/g);
    return [...ends].reduce((sum, [, offset]) => sum + Number(offset), 0);
  }

  it('shows a large transaction whole or not at all, also when its worker is killed in the middle', async () => {
    const many = 60_000;
    /** By partition, for they are read one after the other: how many of its rows were seen, at every look. */
    const looks: number[][] = [];
    const look = async (txn: number): Promise<number> => {
      const found = (await seen()).filter(({ row }) => row?.txn === txn);
      looks.push([0, 1, 2].map((partition) => found.filter((one) => one.partition === partition).length));
      return found.length;
    };
    const killedInTheMiddle = async (txn: number): Promise<boolean> => {
      const before = await written();
      await world.source.query('INSERT INTO ledger(txn, of) SELECT $1, $2 FROM generate_series(1, $2::int)', [
        txn,
        many,
      ]);
      await eventually('a part of it is written', async () => (await written()) > before + many / 10, { everyMs: 1 });
      for (const pid of world.stack.pids('postgres-cdc')) process.kill(pid, 'SIGKILL');
      // Its lease lives on for seconds: who comes next has not yet begun.
      return (await look(txn)) === 0 && (await written()) < before + many;
    };
    const first = 1_000_000;
    let txn = first;
    while (!(await killedInTheMiddle(txn))) {
      expect(txn - first).toBeLessThan(10);
      await arrives();
      looks.length = 0;
      txn++;
    }
    const whole = async () => (await look(txn)) === many;
    await eventually('all of it is there', whole, { timeoutMs: 120_000, everyMs: 500 });
    const all = looks.at(-1)!;
    expect(looks.filter((counts) => counts.some((count, partition) => ![0, all[partition]].includes(count)))).toEqual(
      [],
    );
  });

  it('is looked into by the API, and deleted; the topics with events stay', async () => {
    const page = await api('GET', `/api/streams/${id}/events?limit=5`);
    expect(page.status).toBe(200);
    expect(page.json.data).toHaveLength(5);
    await api('POST', `/api/streams/${id}/stop`);
    expect(await status(world.stack, id)).toBe('stopped');
    expect((await api('DELETE', `/api/streams/${id}?purge=true`)).status).toBe(200);
    const topics = (await kcat(['-b', kafka.brokers.join(','), '-L'])).toString();
    expect(topics).toContain(`cdc.${id}`);
  });
});

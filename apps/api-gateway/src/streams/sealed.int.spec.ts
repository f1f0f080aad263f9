import { SecretBox } from '@planasonix/store';
import { startGateway, type Answer, type UnderTest } from '../gateway-under-test.js';
import { startWorker, type FakeWorker } from '../worker-under-test.js';

jest.setTimeout(120_000);

describe('secrets that were sealed with another key (trap 35)', () => {
  let gateway: UnderTest;
  let worker: FakeWorker;
  const api: UnderTest['api'] = (...asked) => gateway.api(...asked);

  beforeAll(async () => {
    gateway = await startGateway();
    worker = await startWorker(gateway.postgres.url(), gateway.redis.url);
  });
  afterAll(async () => {
    await worker?.end();
    await gateway?.end();
  });

  it('are told; a stop and a delete need none, and a connection takes new ones', async () => {
    const place = { host: '127.0.0.1', port: 1, database: 'd', user: 'u' };
    const of = (password: string) => ({ name: 'sealed', type: 'postgres', config: { ...place, password } });
    const connection = (await api('POST', '/api/connections', of('canary'))).json.id as string;
    const pipelineId = (await api('POST', '/api/pipelines', { name: 'p' })).json.id as string;
    const config = { tables: ['public.t'], signing: { secret: 'canary' } };
    const stream = { name: 'sealed', sourceType: 'postgres_cdc', pipelineId, connectionId: connection, config };
    const id = (await api('POST', '/api/streams', stream)).json.data.id as string;
    const other = new SecretBox(Buffer.alloc(32, 9).toString('base64'));
    const db = await gateway.postgres.connect();
    for (const [table, row] of [
      ['connections', connection],
      ['streams', id],
    ] as const)
      await db.query(`UPDATE ${table} SET secrets = $2 WHERE id = $1`, [row, other.seal('[]', `${table}:${row}`)]);
    const told = ({ status, json }: Answer) => [status, json.error?.code];
    expect(told(await api('PUT', `/api/connections/${connection}`, of('********')))).toEqual([409, 'secrets_sealed']);
    expect((await api('PUT', `/api/connections/${connection}`, of('another'))).status).toBe(200);
    const patch = await api('PATCH', `/api/streams/${id}`, { config: { tables: ['public.u'] } });
    expect(told(patch)).toEqual([409, 'secrets_sealed']);
    // Its owner is dead: the gateway makes the stop true by itself.
    await db.query(
      `UPDATE streams SET status = 'running', desired_status = 'running', lease_owner = 'gone', lease_expires_at = clock_timestamp() WHERE id = $1`,
      [id],
    );
    expect((await api('POST', `/api/streams/${id}/stop`)).json.data?.attributes.status).toBe('stopped');
    // What it has made at its source nobody could ever give back, once the row with its secrets is gone.
    await db.query(`UPDATE streams SET owned = '{"slot":"s"}' WHERE id = $1`, [id]);
    expect(told(await api('DELETE', `/api/streams/${id}?force=true`))).toEqual([409, 'secrets_sealed']);
    await db.query(`UPDATE streams SET owned = '{}' WHERE id = $1`, [id]);
    await db.end();
    expect((await api('DELETE', `/api/streams/${id}`)).status).toBe(200);
  });
});

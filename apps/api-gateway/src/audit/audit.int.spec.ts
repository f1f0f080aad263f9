import type { Client } from 'pg';
import { startGateway, type UnderTest } from '../gateway-under-test.js';

jest.setTimeout(120_000);

describe('a change and what is written about it', () => {
  let gateway: UnderTest;
  let client: Client;
  beforeAll(async () => {
    gateway = await startGateway();
    client = await gateway.postgres.connect();
    await client.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`,
    );
  });
  afterAll(async () => {
    await client?.end();
    await gateway?.end();
  });

  /** As if the process died between the two. */
  async function without<T>(what: 'INSERT ON audit_log' | 'UPDATE ON idempotency', work: () => Promise<T>): Promise<T> {
    const [event, , table] = what.split(' ');
    await client.query(`CREATE TRIGGER refused BEFORE ${event} ON ${table} FOR EACH ROW EXECUTE FUNCTION refuse()`);
    try {
      return await work();
    } finally {
      await client.query(`DROP TRIGGER refused ON ${table}`);
    }
  }
  const config = { host: '127.0.0.1', database: 'd', user: 'u', password: 'p' };
  const connection = (name: string) => ({ name, type: 'postgres', config });
  const made = async (path: string, body: object) => (await gateway.api('POST', path, body)).json.id as string;
  const names = async (path: string) =>
    (await gateway.api('GET', path)).json.data.map((one: { name: string; revokedAt?: string | null }) => one.name);

  it('are there together or not at all', async () => {
    const connectionId = await made('/api/connections', connection('kept'));
    const pipelineId = await made('/api/pipelines', { name: 'kept' });
    const keyId = await made('/api/api-keys', { name: 'kept', scopes: ['streams:read'] });
    const read = async () => [
      await names('/api/connections'),
      await names('/api/pipelines'),
      (await gateway.api('GET', '/api/api-keys')).json.data.map((one: object) => ({ ...one, lastUsedAt: null })),
      (await client.query('SELECT id FROM workspaces')).rows,
    ];
    const before = await read();
    const changes: [string, string, object?][] = [
      ['POST', '/api/connections', connection('new')],
      ['PUT', `/api/connections/${connectionId}`, connection('renamed')],
      ['DELETE', `/api/connections/${connectionId}`],
      ['POST', '/api/pipelines', { name: 'new' }],
      ['PUT', `/api/pipelines/${pipelineId}`, { name: 'renamed' }],
      ['DELETE', `/api/pipelines/${pipelineId}`],
      ['POST', '/api/api-keys', { name: 'new', scopes: ['streams:read'] }],
      ['POST', `/api/api-keys/${keyId}/rotate`, {}],
      ['DELETE', `/api/api-keys/${keyId}`],
      ['POST', '/api/workspaces', { name: 'new' }],
    ];
    await without('INSERT ON audit_log', async () => {
      for (const [method, path, body] of changes) expect((await gateway.api(method, path, body)).status).toBe(500);
    });
    expect(await read()).toEqual(before);
    const entries = async () => (await client.query('SELECT action FROM audit_log ORDER BY id')).rows;
    const known = (await entries()).length;
    // A key that was rotated is not there to be revoked.
    for (const [method, path, body] of changes.filter(([method, path]) => method !== 'DELETE' || !path.includes(keyId)))
      expect((await gateway.api(method, path, body)).status).toBeLessThan(300);
    expect((await entries()).slice(known).map(({ action }: { action: string }) => action)).toEqual(
      ['connection', 'pipeline']
        .flatMap((what) => ['create', 'update', 'delete'].map((how) => `${what}.${how}`))
        .concat('api_key.create', 'api_key.rotate', 'workspace.create'),
    );
  });

  it('a key is there exactly if its answer is kept: a repetition after a crash makes no second one', async () => {
    const count = async () => (await client.query('SELECT FROM api_keys')).rowCount;
    const known = await count();
    const id = await made('/api/api-keys', { name: 'turned', scopes: ['streams:read'] });
    const makes: [string, object][] = [
      ['/api/api-keys', { name: 'once', scopes: ['streams:read'] }],
      [`/api/api-keys/${id}/rotate`, {}],
      ['/api/workspaces', { name: 'once' }],
    ];
    for (const [i, [path, body]] of makes.entries()) {
      const key = { 'idempotency-key': `crash-${i}` };
      const failed = await without('UPDATE ON idempotency', () => gateway.api('POST', path, body, key));
      expect(failed.status).toBe(500);
      const first = await gateway.api('POST', path, body, key);
      const again = await gateway.api('POST', path, body, key);
      expect([first.status < 300, again.text, again.headers.get('idempotency-replayed')]).toEqual([
        true,
        first.text,
        'true',
      ]);
    }
    expect(await count()).toBe(known! + 1 + makes.length);
  });
});

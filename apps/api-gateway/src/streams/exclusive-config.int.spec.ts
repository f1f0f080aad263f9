import { startGateway, type UnderTest } from '../gateway-under-test.js';
import { startWorker, type FakeWorker } from '../worker-under-test.js';

jest.setTimeout(120_000);

describe('what one stream alone can have at a source', () => {
  let gateway: UnderTest;
  let worker: FakeWorker;
  let pipelineId: string;
  let connections: string[];

  beforeAll(async () => {
    gateway = await startGateway();
    worker = await startWorker(gateway.postgres.url(), gateway.redis.url);
    pipelineId = (await gateway.api('POST', '/api/pipelines', { name: 'p' })).json.id;
    const config = { host: '127.0.0.1', port: 1, database: 'd', user: 'u', password: 'p' };
    const connect = async (name: string): Promise<string> =>
      (await gateway.api('POST', '/api/connections', { name, type: 'postgres', config })).json.id;
    connections = [await connect('c1'), await connect('c2')];
  });
  afterAll(async () => {
    await worker?.end();
    await gateway?.end();
  });

  const create = (name: string, config: object, connectionId = connections[0]) => {
    const of = { sourceType: 'postgres_cdc', pipelineId, connectionId };
    return gateway.api('POST', '/api/streams', { name, ...of, config: { tables: ['public.t'], ...config } });
  };
  const patch = (id: string, config: object) => gateway.api('PATCH', `/api/streams/${id}`, { config });

  it('is not given to another one of the same connection', async () => {
    const has = await create('has it', { slot_name: 'their_slot' });
    expect(has.status).toBe(201);
    const { id } = has.json.data;
    const taken = {
      status: 409,
      json: {
        error: {
          code: 'source_taken',
          message: expect.stringContaining(`has it (${id})`),
          hint: expect.stringContaining('slot_name'),
          details: [{ field: 'config.slot_name', issue: 'is that of another stream' }],
        },
      },
    };
    expect(await create('wants it too', { slotName: 'their_slot' })).toMatchObject(taken);
    expect((await create('wants it elsewhere', { slot_name: 'their_slot' }, connections[1])).status).toBe(201);
    const another = await create('has another', { slot_name: 'another_slot' });
    expect(await patch(another.json.data.id, { slot_name: 'their_slot' })).toMatchObject(taken);
    // What it has itself is no obstacle; what it gives up is free.
    expect((await patch(id, { slot_name: 'their_slot', tables: ['public.u'] })).status).toBe(200);
    expect((await patch(another.json.data.id, { slot_name: null })).status).toBe(200);
    expect((await create('takes what is free', { slot_name: 'another_slot' })).status).toBe(201);
  });
});

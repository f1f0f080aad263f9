import { NeighbourStore } from './neighbour-store.js';
import { StoreUnderTest } from './store-under-test.js';

jest.setTimeout(60_000);

describe('streams beside a stream', () => {
  let under: StoreUnderTest;
  beforeAll(async () => {
    under = await StoreUnderTest.start();
  });
  afterAll(() => under?.stop());

  it('are those of its type and workspace, with where their events go and whether they are to run', async () => {
    const [actor, stranger] = [await under.actor(), await under.actor('other')];
    const output = { type: 'kafka', connectionId: 'conn_1', topic: 't' } as const;
    const { id: pipelineId } = await under.pipelines.create(actor, { name: 'p', output });
    const of = { sourceType: 'kafka', config: { topics: ['a'] }, pipelineId };
    const [own, beside] = [await under.makeStream(actor, of), await under.makeStream(actor, of)];
    await under.makeStream(actor);
    await under.makeStream(stranger, { sourceType: 'kafka' });
    const neighbours = new NeighbourStore(under.store);
    const { id, name } = beside;
    const seen = { id, name, config: of.config, connection_id: null, pipeline_id: pipelineId, output };
    const now = () => neighbours.of(actor.workspaceId, 'kafka', own.id);
    expect(await now()).toEqual([{ ...seen, runs: false }]);
    await under.store.query(`UPDATE streams SET status = 'starting', desired_status = 'running' WHERE id = $1`, [id]);
    expect(await now()).toEqual([{ ...seen, runs: true }]);
    await under.store.query(`UPDATE streams SET status = 'error' WHERE id = $1`, [id]);
    expect(await now()).toEqual([{ ...seen, runs: false }]);
    await under.store.query(`DELETE FROM streams WHERE id = $1`, [id]);
    expect(await now()).toEqual([]);
  });
});

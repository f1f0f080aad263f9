import type { NeighbourRow } from '@planasonix/store';
import { Neighbourhood } from './neighbourhood.js';

const output = (topic: string) => ({ type: 'kafka', connectionId: 'conn_log', topic }) as const;
const row = (of: Partial<NeighbourRow>): NeighbourRow => ({
  ...{ id: 'str_b', name: 'b', config: { topics: ['y'] }, connection_id: 'conn_1', pipeline_id: 'pl_1' },
  ...{ output: output('{stream}.x'), runs: false, ...of },
});

/** `name topic runs` of those beside `str_a`. */
async function beside(rows: readonly NeighbourRow[], pipeline?: { id: string; output: ReturnType<typeof output> }) {
  const connections = { settingsOf: () => Promise.resolve(null) };
  const neighbourhood = new Neighbourhood('kafka', { of: () => Promise.resolve([...rows]) }, connections);
  const all = await neighbourhood.of({ id: 'str_a', workspaceId: 'ws', pipeline }).all();
  return all.map(({ name, topics, into, from, runs }) => `${name} ${from}>${into} ${topics.only} ${runs}`);
}

describe('streams beside a stream', () => {
  it('are those that write into Kafka, each under its own names', async () => {
    expect(await beside([row({}), row({ name: 'c', output: { type: 'redis_stream' } })])).toEqual([
      'b conn_1>conn_log str_b.x false',
    ]);
  });

  it('of a draft all count, and those of its pipeline write to where that is to lead', async () => {
    const rows = [row({ output: { type: 'redis_stream' } }), row({ name: 'c', pipeline_id: 'pl_2' })];
    expect(await beside(rows, { id: 'pl_1', output: output('z') })).toEqual([
      'b conn_1>conn_log z true',
      'c conn_1>conn_log str_b.x true',
    ]);
  });

  it('that can not be looked at are a failure of the store, which is tried again', async () => {
    const rows = { of: () => Promise.reject(new Error('down')) };
    const neighbours = new Neighbourhood('kafka', rows, {} as never).of({ id: 'str_a', workspaceId: 'ws' });
    await expect(neighbours.all()).rejects.toMatchObject({ code: 'store_unavailable', recourse: 'retry' });
  });
});

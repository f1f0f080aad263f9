import { SourceCatalog } from '../sources/source-catalog.js';
import type { WorkerQuestions } from '../sources/worker-questions.js';
import { StreamDrafts } from './stream-drafts.js';

const type = { type: 'postgres_cdc', connection_types: ['postgres'], config_schema: { type: 'object' } };
const connection = { id: 'conn_1', type: 'postgres' };

it('a worker hears which stream has the config that is changed, and of a new one that there is none yet', async () => {
  const asked: unknown[] = [];
  const workers = { expectTables: (_: string, __: string, of: object) => Promise.resolve(void asked.push(of)) };
  const drafts = new StreamDrafts(
    new SourceCatalog({ sourceTypes: () => Promise.resolve([type as never]) }),
    { get: () => Promise.resolve({ output: { type: 'redis_stream' } } as never) },
    { get: () => Promise.resolve(connection as never) },
    workers as unknown as WorkerQuestions,
    { named: () => Promise.resolve(null) },
  );
  const stream = { id: 'str_1', source_type: type.type, connection_id: 'conn_1', pipeline_id: 'pipe_1' };
  await drafts.forCreate('ws_1', { sourceType: type.type, pipelineId: 'pipe_1', connectionId: 'conn_1' });
  await drafts.forPatch('ws_1', stream, { tables: ['a.b'] }, { tables: ['a.c'] });
  const pipeline = { output: { type: 'redis_stream' } };
  expect(asked).toEqual([
    { connectionId: 'conn_1', config: {}, pipeline },
    { connectionId: 'conn_1', config: { tables: ['a.c'] }, pipeline, streamId: 'str_1' },
  ]);
});

import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { makeStream, start } from './shop.js';
import { operations, requestFor, type Operation } from './openapi-requests.js';
import { makeWorld, type World } from './world.js';

jest.setTimeout(600_000);

const RUNS = 40;
/** Printed by fast-check with a failure; give it here to see the failure again. */
const SEED = 20261124;

describe('the OpenAPI document against the running gateway', () => {
  let world: World;
  let document: Record<string, unknown>;
  let all: Operation[];
  let known: string[];

  beforeAll(async () => {
    world = await makeWorld({ CONNECTORS: '' });
    await world.source.query('CREATE TABLE orders(id bigint PRIMARY KEY, v text)');
    document = (await world.stack.api('GET', '/api/openapi.json', undefined, { authorization: '' })).json;
    // Deletes last: everything before them meets resources that are there.
    all = operations(document).sort((a, b) => Number(a.method === 'DELETE') - Number(b.method === 'DELETE'));
    const id = await makeStream(world.stack, {
      name: 'known',
      connectionId: world.connectionId,
      pipelineId: world.pipelineId,
      config: { tables: ['public.orders'] },
    });
    // One that takes orders, and positions: it was started once and rests.
    const rested = await makeStream(world.stack, {
      name: 'rested',
      connectionId: world.connectionId,
      pipelineId: world.pipelineId,
      config: { tables: ['public.orders'], snapshot: 'never' },
    });
    await start(world.stack, rested);
    await world.stack.api('POST', `/api/streams/${rested}/stop`);
    const order = await world.stack.api('POST', `/api/streams/${rested}/snapshot`, { tables: ['public.orders'] });
    expect(order.status).toBe(201);
    known = [id, rested, order.id, world.connectionId, world.pipelineId, 'key_01jzzzzzzzzzzzzzzzzzzzzzzz'];
  });
  afterAll(() => world?.end());

  it('is 3.1 and names every route of the contract', () => {
    expect(String(document['openapi'])).toMatch(/^3\.1/);
    const routes = all.map(({ method, path }) => `${method} ${path.replace(/^\/(v1\/)?api/, '')}`);
    for (const route of [
      'GET /streams',
      'POST /streams',
      'GET /streams/summary',
      'GET /streams/{id}',
      'PATCH /streams/{id}',
      'DELETE /streams/{id}',
      'POST /streams/{id}/start',
      'POST /streams/{id}/stop',
      'POST /streams/{id}/pause',
      'POST /streams/{id}/resume',
      'GET /streams/{id}/metrics',
      'GET /streams/{id}/events',
      'POST /streams/{id}/check',
      'POST /streams/{id}/snapshot',
      'GET /streams/{id}/snapshots',
      'DELETE /streams/{id}/snapshots/{snapshotId}',
      'GET /streams/{id}/position',
      'PUT /streams/{id}/position',
      'GET /source-types',
      'GET /connections',
      'POST /connections',
      'GET /connections/{id}',
      'PUT /connections/{id}',
      'DELETE /connections/{id}',
      'POST /connections/test',
      'POST /connections/{id}/test',
      'GET /pipelines',
      'POST /pipelines',
      'GET /pipelines/{id}',
      'PUT /pipelines/{id}',
      'DELETE /pipelines/{id}',
      'GET /api-keys',
      'POST /api-keys',
      'DELETE /api-keys/{id}',
      'POST /api-keys/{id}/rotate',
      'POST /workspaces',
      'GET /audit-log',
    ])
      expect(routes).toContain(route);
  });

  it('never answers 5xx, and every answer is as documented', async () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false });
    ajv.addSchema({ $id: 'openapi.json', ...document });
    const pointer = (path: string, method: string, status: string) =>
      `openapi.json#/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method.toLowerCase()}/responses/${status}/content/application~1json/schema`;
    const wrong: string[] = [];
    for (const operation of all) {
      await fc
        .assert(
          fc.asyncProperty(requestFor(document, operation, known), async ({ path, query, body }) => {
            const answer = await world.stack.api(operation.method, path + query, body);
            const what = `${operation.method} ${path}${query} ${body?.slice(0, 300) ?? ''} → ${answer.status} ${answer.text.slice(0, 300)}`;
            // A worker that is asked to reach a source may be out of time; nothing else may be unavailable.
            if (answer.status >= 500 && answer.json?.error?.code !== 'worker_busy') throw new Error(`5xx: ${what}`);
            const documented = operation.answers.get(String(answer.status)) ?? operation.answers.get('default');
            if (documented === undefined) throw new Error(`undocumented status: ${what}`);
            if (documented !== null) {
              const status = operation.answers.has(String(answer.status)) ? String(answer.status) : 'default';
              const validate =
                ajv.getSchema(pointer(operation.path, operation.method, status)) ?? ajv.compile(documented as object);
              if (!validate(answer.json))
                throw new Error(`not as documented (${ajv.errorsText(validate.errors)}): ${what}`);
            }
          }),
          { numRuns: RUNS, seed: SEED, endOnFailure: true },
        )
        .catch((error: Error) => wrong.push(error.message.slice(0, 1500)));
    }
    expect(wrong).toEqual([]);
  });
});

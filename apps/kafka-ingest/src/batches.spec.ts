import type { Log } from '@planasonix/core';
import type { KafkaRecord } from '@planasonix/kafka';
import { Batches } from './batches.js';
import { Registry } from './registry/registry.js';
import { NotRegistered, type SchemaSource } from './registry/schema-source.js';

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const VALUE = Buffer.from([0, 0, 0, 0, 5, 1]);

describe('a record that waits for schema 5', () => {
  const reference = { name: 'n', subject: 'line', version: 1 };
  it.each([
    ['that is not registered', {}, 'schemas/ids/5', /^Register schema 5, /],
    [
      'that refers to one which is not',
      { 'schemas/ids/5': { schema: '{}', references: [reference] } },
      'subjects/line/versions/1',
      /^Register what is missing, /,
    ],
  ])('%s: what to register is told', async (_, answers: Readonly<Record<string, object>>, path, hint) => {
    const source: Pick<SchemaSource, 'get'> = {
      get: (asked) =>
        asked in answers ? Promise.resolve({ ...answers[asked] }) : Promise.reject(new NotRegistered(asked)),
    };
    const registry = new Registry(source as SchemaSource);
    const record: KafkaRecord = { offset: 3, timestamp: 0, key: null, value: VALUE, headers: [] };
    const chunk = { topic: 't', topicId: 'f', partition: 0, records: [record], leaderEpoch: 0, next: 4 };
    const batches = new Batches({ format: 'auto', registry, streamId: 'str_1', log });
    await expect(batches.of(chunk).next()).rejects.toMatchObject({
      message: `t/0 at 3 waits for schema 5: The schema registry answers 404 for ${path}.`,
      hint: expect.stringMatching(hint),
    });
  });
});

import { Registry } from './registry.js';
import type { SchemaSource } from './schema-source.js';

const HEAD = 5;

/** A value in Confluent's wire format. */
function wire(id: number, body: string): Buffer {
  const value = Buffer.alloc(HEAD + body.length);
  value.writeUInt32BE(id, 1);
  value.write(body, HEAD);
  return value;
}

const reference = (name: string) => ({ name, subject: name, version: 1 });

describe('what a registry has', () => {
  it('may go round: each schema is asked for once', async () => {
    const asked: string[] = [];
    const link = (to: string) => ({ schema: `{"properties":{"to":{"$ref":"${to}"}}}`, references: [reference(to)] });
    const answers: Readonly<Record<string, object>> = {
      'schemas/ids/1': { schemaType: 'JSON', ...link('a') },
      'subjects/a/versions/1': link('b'),
      'subjects/b/versions/1': { ...link('a'), schema: '{"properties":{"to":{"$ref":"a"},"n":{"type":"integer"}}}' },
    };
    const source: Pick<SchemaSource, 'get'> = {
      get: (path) => {
        asked.push(path);
        return asked.length > 10 ? Promise.reject(new Error('asked for ever')) : Promise.resolve({ ...answers[path] });
      },
    };
    const registry = new Registry(source as SchemaSource);
    const right = wire(1, '{"to":{"to":{"n":1}}}');
    await registry.prepare([right]);
    expect(asked).toEqual(Object.keys(answers));
    expect(registry.text(right, null)).toBe('{"to":{"to":{"n":1}}}');
    expect(() => registry.text(wire(1, '{"to":{"to":{"n":"1"}}}'), null)).toThrow(/does not fit its JSON Schema/);
  });
});

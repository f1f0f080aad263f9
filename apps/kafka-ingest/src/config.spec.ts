import { Ajv2020 } from 'ajv/dist/2020.js';
import { configJsonSchema, isWanted, parseConfig } from './config.js';
import { topicPattern } from './topic-pattern.js';

describe('the config of a Kafka stream', () => {
  const { $schema: _, ...schema } = configJsonSchema;
  const announced = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
  const topics = ['orders'];

  it('has the defaults of the documentation, and takes them written out', () => {
    const written = { topics, topic_pattern: null, start: 'earliest', max_tasks: 8, format: 'auto' };
    expect(parseConfig({ topics })).toEqual({ ...written, pattern: null });
    expect(parseConfig(written)).toEqual(parseConfig({ topics }));
    expect(announced(written)).toBe(true);
  });

  it.each([
    [{ topics, start: { timestamp: 'yesterday' } }, /start/],
    [{ topics, start: { offsets: { orders: { a: 1 } } } }, /start/],
    [{ topics, start: { offsets: { orders: { 0: 1 }, order: { 0: 1 } } } }, /start\.offsets: .* order:/],
    [{ topic_pattern: 'shop.*', start: { offsets: { orders: { 0: 1 } } } }, /start\.offsets: .* orders:/],
    [{ topics: ['or ders'] }, /topics\.0/],
    [{ topics, max_tasks: 0 }, /max_tasks/],
    [{ topics, topik: 1 }, /topik/],
    [{}, /name a topic/],
    [{ topic_pattern: '(a+)+' }, /no groups/],
    [{ topics, format: 'avro' }, /schema_registry/],
    [{ topics, schema_registry: { url: 'ftp://x' } }, /schema_registry/],
    [{ topics, schema_registry: { url: 'https://me:word@registry.example.com' } }, /give them in auth/],
  ])('refuses %j', (config, message) => {
    expect(() => parseConfig(config)).toThrow(message);
  });

  it('matches whole names, and the own topics of the brokers by name alone', () => {
    const config = parseConfig({ topics: ['__consumer_offsets'], topic_pattern: 'shop\\.[a-z]+|_.*' });
    expect(isWanted(config, 'shop.orders', false)).toBe(true);
    expect(isWanted(config, 'shop.orders2', false)).toBe(false);
    expect(isWanted(config, 'shopXorders', false)).toBe(false);
    expect(isWanted(config, '__transaction_state', true)).toBe(false);
    const all = parseConfig({ topics: ['planasonix.counters'], topic_pattern: '.*' });
    expect(isWanted(all, 'shop.orders', false)).toBe(true);
    expect(isWanted(all, 'planasonix.positions.str_1', false)).toBe(false);
    expect(isWanted(all, 'planasonix.counters', false)).toBe(true);
    expect(isWanted(config, '__consumer_offsets', true)).toBe(true);
    expect(topicPattern('^a.b$')!.test('axb')).toBe(true);
    expect(topicPattern('[')).toBeNull();
  });
});

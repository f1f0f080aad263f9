import { murmur2, partitionOf } from './murmur2.js';
import { templateProblem, topicNames, topicOf, topicOfAll } from './topic-name.js';

describe('the name of a topic', () => {
  const named = (template: string, subject: string) => topicOf(template, { stream: 'str_1', subject });

  it.each([
    ['cdc.{schema}.{table}', 'public.orders', 'cdc.public.orders'],
    ['cdc.{schema}.{table}', 'public."Große Tabelle"', 'cdc.public.Gro_e_Tabelle'],
    ['cdc.{schema}.{table}', '"a.b"."c""d"', 'cdc.a.b.c_d'],
    ['{table}', 'public.a.b', 'a.b'],
    ['{stream}-{topic}', 'orders/eu', 'str_1-orders_eu'],
    ['{schema}.{table}', 'my hook', '_.my_hook'],
    ['events', 'public.orders', 'events'],
    ['{topic}', '..', '__'],
    ['{topic}', '$&$1', '___1'],
  ])('%s of %s is %s', (template, subject, name) => expect(named(template, subject)).toBe(name));

  it('is never longer than Kafka allows', () => expect(named('{topic}', 'x'.repeat(500))).toHaveLength(249));

  it('is one for a whole stream where nothing of the event is in it', () => {
    expect(topicOfAll('log.{stream}', 'str_1')).toBe('log.str_1');
    expect(topicOfAll('log.{table}', 'str_1')).toBeNull();
  });

  it.each([
    ['log.{stream}', ['log.str_1'], ['log.str_2', 'log.str_1.x', 'orders']],
    ['copy.{topic}', ['copy.a', 'copy.copy.a', 'copy..'], ['copy.', 'copy', 'xcopy.a', 'a']],
    ['{topic}.copy', ['a.copy', '.copy.copy'], ['.copy', 'a.copy.b']],
    ['{schema}.{table}', ['a.b', '_.b', 'a.b.c', '...'], ['ab', '.b', 'a.']],
    ['x{schema}.y.{table}z', ['xa.y.bz', 'x.y..y.bz'], ['xa.y.z', 'x.y.bz', 'xa.x.bz']],
    ['größe {table}', ['gr__e_a'], ['größe a', 'gr__e_']],
  ])('%s may be %j, and not %j', (template, may, mayNot) => {
    const names = topicNames(template, 'str_1');
    expect([...may, ...mayNot].filter((name) => names.may(name))).toEqual(may);
  });

  it('tells what is wrong with a template', () => {
    expect(templateProblem('cdc.{schema}.{table}')).toBeNull();
    expect(templateProblem('cdc.{tabel}')).toContain('{tabel}');
    expect(templateProblem('cdc.{table')).toContain('{table');
    expect(templateProblem('x'.repeat(250))).toContain('249');
  });
});

describe('the partition of a key', () => {
  // Values of Java's own test of its hash.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('hashes %s as Java does (trap 25)', (text, hash) => expect(murmur2(Buffer.from(text))).toBe(hash));

  it('is within the topic', () => {
    for (let i = 0; i < 1_000; i++) {
      const partition = partitionOf(Buffer.from(`{"id":${i}}`), 6);
      expect(partition >= 0 && partition < 6).toBe(true);
    }
  });
});

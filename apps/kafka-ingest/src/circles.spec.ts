import type { LogTopics, Neighbour } from '@planasonix/core';
import { Circles } from './circles.js';
import { parseConfig } from './config.js';

/** `copy.{topic}`, or one name for everything. */
function topicsOf(template: string): Omit<LogTopics, 'clusterId'> {
  const [before = '', after] = template.split('{topic}');
  if (after === undefined) return { only: template, of: () => template, may: (topic) => topic === template };
  return {
    only: null,
    of: (subject) => `${before}${subject}${after}`.slice(0, 249),
    may: (topic) => topic.length > before.length + after.length && topic.startsWith(before) && topic.endsWith(after),
  };
}

interface Beside {
  readonly name: string;
  readonly reads: string | { readonly pattern: string };
  readonly writes: string;
  readonly from?: string;
  readonly into?: string;
  readonly runs?: boolean;
}

const configOf = (reads: Beside['reads']) =>
  typeof reads === 'string' ? { topics: reads.split(' ') } : { topic_pattern: reads.pattern };

const neighbour = ({ name, reads, writes, from = 'conn_a', into = 'conn_a', runs = true }: Beside): Neighbour => ({
  ...{ name, from, into, runs, config: { ...configOf(reads), max_tasks: 3 }, topics: topicsOf(writes) },
});

const CLUSTERS: Readonly<Record<string, string | null>> = { conn_a2: 'A', conn_b: 'B', conn_b2: 'B', conn_gone: null };

/** Of a stream in cluster A over `conn_a`: what the check finds, and whether it may read. */
async function outcome(of: Pick<Beside, 'reads' | 'writes'> & { there?: string[]; into?: string }, beside: Beside[]) {
  const config = parseConfig(configOf(of.reads));
  const asked: string[] = [];
  const circles = new Circles({
    ...{ config, connectionId: 'conn_a', clusterId: 'A', log: { clusterId: of.into ?? 'A', ...topicsOf(of.writes) } },
    neighbours: beside.map(neighbour),
    clusterOf: (id) => {
      asked.push(id);
      return Promise.resolve(CLUSTERS[id] ?? null);
    },
  });
  const topics = of.there ?? config.topics;
  const checks = await circles.checks(topics);
  const read = await circles.expectNone(topics).then(
    () => 'reads',
    (error: Error) => error.message,
  );
  return { found: checks.map(({ severity, message }) => `${severity}: ${message}`), read, asked };
}

const FOR_EVER = 'The stream would feed itself for ever: ';
const refused = (way: string) => ({ found: [`error: ${FOR_EVER}${way}.`], read: `${FOR_EVER}${way}.` });
const fine = { found: [], read: 'reads' };
const warned = (message: string) => ({ found: [`warning: ${message}.`], read: 'reads' });

describe('a circle over several streams', () => {
  const back = { name: 'back', reads: 'y', writes: 'x' };

  it('is refused over two, and named', async () => {
    expect(await outcome({ reads: 'x', writes: 'y' }, [back])).toEqual({
      ...refused('it takes x to y, and "back" takes y to x'),
      asked: [],
    });
  });

  it('is refused over three, past others that lead nowhere', async () => {
    const beside = [
      { name: 'aside', reads: 'y', writes: 'lake' },
      { name: 'one', reads: 'y', writes: 'z' },
      { name: 'two', reads: 'w z', writes: 'x' },
    ];
    const way = 'it takes x to y, and "one" takes y to z, and "two" takes z to x';
    expect(await outcome({ reads: 'x', writes: 'y' }, beside)).toMatchObject(refused(way));
  });

  it('is none where a topic is only read again by others, or what comes back goes on elsewhere', async () => {
    expect(await outcome({ reads: 'x', writes: 'y' }, [{ ...back, writes: 'z' }])).toMatchObject(fine);
    const beside = [{ name: 'b', reads: 'copy.a', writes: 'c' }];
    expect(await outcome({ reads: 'a c', writes: 'copy.{topic}' }, beside)).toMatchObject(fine);
    // A circle of others is theirs.
    const theirs = [{ name: 'b', reads: 'y z', writes: 'z' }];
    expect(await outcome({ reads: 'x', writes: 'y' }, theirs)).toMatchObject(fine);
  });

  it('is followed through placeholders and patterns, from topics that are there and those that events reach', async () => {
    const of = { reads: { pattern: String.raw`shop\..*` }, writes: 'copy.{topic}', there: ['shop.a'] };
    const beside = [{ name: 'back', reads: { pattern: String.raw`copy\..*` }, writes: 'shop.b' }];
    expect(await outcome(of, beside)).toMatchObject(
      refused('from shop.a on it takes shop.b to copy.shop.b, and "back" takes copy.shop.b to shop.b'),
    );
    expect(await outcome({ ...of, there: [] }, beside)).toMatchObject(fine);
    const elsewhere = [{ name: 'back', reads: { pattern: String.raw`copy\..*` }, writes: 'mall' }];
    expect(await outcome(of, elsewhere)).toMatchObject(fine);
  });

  it('is none over what the other passes over', async () => {
    const beside = [{ name: 'all', reads: { pattern: '.*' }, writes: 'y' }];
    // It reads x and all others into y, but not y.
    expect(await outcome({ reads: 'x', writes: 'y' }, beside)).toMatchObject(fine);
  });

  it('is refused where names grow until Kafka cuts them', async () => {
    const beside = [{ name: 'other', reads: { pattern: '.*' }, writes: 'b{topic}' }];
    const { found, read } = await outcome({ reads: { pattern: '.*' }, writes: 'a{topic}', there: ['x'] }, beside);
    expect(found).toEqual([
      expect.stringMatching(/^error: .* from x on it takes (ba){30}… to (ab){30}…, and "other" /),
    ]);
    expect(read).toContain('for ever');
  });

  it('is a warning where it gets too much to look at', async () => {
    const beside = ['b', 'c', 'd'].map((one) => ({
      ...{ name: one, reads: { pattern: '.*' }, writes: `${one}{topic}` },
    }));
    const { found, read } = await outcome({ reads: { pattern: '.*' }, writes: 'a{topic}', there: ['x'] }, beside);
    expect(found).toEqual([expect.stringMatching(/^warning: The stream may take copies of copies round/)]);
    expect(read).toBe('reads');
  });

  it('over a stream that does not run is a warning', async () => {
    expect(await outcome({ reads: 'x', writes: 'y' }, [{ ...back, runs: false }])).toMatchObject(
      warned('The stream would feed itself for ever as soon as "back" ran: it takes x to y, and "back" takes y to x'),
    );
  });

  it.each([
    ['over other connections to the same cluster', { ...back, from: 'conn_a2', into: 'conn_a2' }, 'A', 'refused', 1],
    ['over two clusters', { ...back, from: 'conn_b', into: 'conn_a' }, 'B', 'refused', 1],
    ['in another cluster is none', { ...back, from: 'conn_b', into: 'conn_b2' }, 'A', 'fine', 2],
    ['that would end in another cluster is none', { ...back, into: 'conn_b' }, 'A', 'fine', 1],
    ['over a connection that can not be asked may be one', { ...back, from: 'conn_gone' }, 'A', 'suspected', 1],
    ['is not looked for where names do not go round', { ...back, from: 'conn_b', reads: 'z' }, 'A', 'fine', 0],
  ] as const)('%s', async (_name, beside, into, becomes, asks) => {
    const way = 'it takes x to y, and "back" takes y to x';
    const { asked, ...rest } = await outcome({ reads: 'x', writes: 'y', into }, [beside]);
    expect(asked).toHaveLength(asks);
    const suspected = `The stream may feed itself for ever, if connections that can not be asked now lead to one cluster: ${way}`;
    expect(rest).toEqual({ refused: refused(way), fine, suspected: warned(suspected) }[becomes]);
  });
});

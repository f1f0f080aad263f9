import type { KafkaCluster } from '@planasonix/kafka';
import { cutBack, lostPlace, outOfRange, rangesOf } from './partitions.js';

describe('a position outside of what the broker holds (trap 24)', () => {
  const range = { first: 10, end: 40 } as Parameters<typeof outOfRange>[2];

  it.each([
    [4, 'Records 4 to 9 of t/0 are gone: the broker holds 10 to 39.', 10],
    [50, 't/0 ends before our position 50: the broker holds 10 to 39.', 40],
  ])('%i: says what is missing, and where a start that skips goes on', (offset, message, at) => {
    const failure = outOfRange('t/0', offset, range);
    expect(failure).toMatchObject({ code: 'offset_out_of_range', message });
    expect(failure.hint).toContain(`{"onLostPosition":"skip"} to go on at ${at} of t/0 `);
  });
});

describe('a log that was cut back', () => {
  it('is told with what "resnapshot" would do: places are given again, and ids with them', () => {
    const ids =
      /After "resnapshot", records that were written from 40 on .* have the ids of those that were there before/;
    expect(cutBack('orders/0', 40, 50).hint).toMatch(ids);
    expect(cutBack('orders/0', 40, 50).hint).toContain(
      'to go on at 50 (or at the end, where that comes first) of orders/0',
    );
    expect(outOfRange('orders/0', 50, { first: 3, end: 40 }).hint).toMatch(ids);
    expect(outOfRange('orders/0', 1, { first: 3, end: 40 }).hint).not.toContain('ids');
  });
});

describe('a place that one broker refused', () => {
  const place = { topic: 't', topicId: 'a'.repeat(32), partition: 0 };
  const range = { first: 10, end: 40 };
  const cluster = (id: string) =>
    ({ view: () => Promise.resolve({ topics: [{ topic: 't', id, error: 0 }] }) }) as unknown as KafkaCluster;
  const told = async (offset: number, id = place.topicId) =>
    (await lostPlace(cluster(id), { ...place, offset }, range)).code;

  it('is not lost where the others hold it (Invariant 2)', async () => {
    for (const offset of [10, 25, 40]) expect(await told(offset)).toBe('source_unreachable');
    for (const offset of [9, 41]) expect(await told(offset)).toBe('offset_out_of_range');
    expect(await told(25, 'b'.repeat(32))).toBe('topic_recreated');
  });
});

it('what a broker holds may be kept from a user, who is named', async () => {
  const offsets: KafkaCluster['offsets'] = (asks) =>
    Promise.resolve(asks.map((ask) => ({ ...ask, error: 29, offset: -1, leaderEpoch: -1 })));
  const cluster = { user: 'shop', offsets } as unknown as KafkaCluster;
  const asked = rangesOf(cluster, [{ topic: 't', partition: 0 }], new AbortController().signal);
  await expect(asked).rejects.toMatchObject({ code: 'permission_denied', hint: expect.stringContaining('User:shop ') });
});

import { eventually } from '@planasonix/testing';
import { ingestWorld, post, type HookStream, type IngestWorld, type Instance } from './ingest-under-test.js';

jest.setTimeout(120_000);

describe('what a stream asks for, at the door', () => {
  let world: IngestWorld;
  let at: Instance;

  beforeAll(async () => {
    world = await ingestWorld();
    at = await world.instance();
  });
  afterAll(() => world.end());

  const open = (config: Record<string, unknown>) => world.running({ auth: { type: 'none' }, ...config });
  const names = async ({ id }: HookStream) => (await world.entries(id)).map((entry) => entry.id.slice(id.length + 1));

  describe('dedupe', () => {
    const shop = 'x-shop-event';

    it('header: the id of a delivery lies there, and is shown', async () => {
      const stream = await open({ dedupe: { header: 'X-Shop-Event' } });
      const [first, again, other, without] = [
        await post(at, stream, '{"n":1}', { [shop]: 'e-1' }),
        await post(at, stream, '{"n":1}', { [shop]: 'e-1' }),
        await post(at, stream, '{"n":1}', { [shop]: 'e-2' }),
        await post(at, stream, '{"n":1}', {}),
      ];
      expect(first.json).toEqual({ received: true, id: `${stream.id}/e-1` });
      expect(again.json).toEqual({ ...first.json, duplicate: true });
      expect(other.json).toEqual({ received: true, id: `${stream.id}/e-2` });
      expect(without.json).toEqual({ received: true, id: expect.stringMatching(/\/[\w-]{43}$/) });
      // Nobody signs the header: another body under the same id is no repeat.
      expect((await post(at, stream, '{"n":2}', { [shop]: 'e-1' })).json.id).toMatch(/\/e-1~[\w-]{12}$/);
      expect((await world.entries(stream.id)).map(({ data }) => JSON.parse(data).event_id)).toEqual([
        ...['e-1', 'e-2', null, 'e-1'],
      ]);
    });

    it('window: for so long a repeat is known, and no longer; by default 72 h', async () => {
      const [brief, long] = [await open({ dedupe: { header: shop, window: '3s' } }), await open({})];
      const headers = { [shop]: 'e' };
      for (const stream of [brief, long]) expect((await post(at, stream, '{}', headers)).status).toBe(200);
      const kept = async ({ id }: HookStream) => {
        const client = world.redis.client();
        const keys = await client.keys(`plnx:seen:{${id}}:*`);
        return Math.max(...(await Promise.all(keys.map((key) => client.pttl(key)))));
      };
      const [hour, left] = [3_600_000, await kept(long)];
      expect(left).toBeGreaterThan(71 * hour);
      expect(left).toBeLessThanOrEqual(72 * hour);
      expect(await kept(brief)).toBeLessThanOrEqual(3_000);
      await eventually('it is a new one', async () => (await post(at, brief, '{}', headers)).json.duplicate !== true);
      expect(await names(brief)).toEqual(['e', 'e']);
      expect((await post(at, long, '{}', headers)).json.duplicate).toBe(true);
    });
  });

  it('ordering_key from a header, of each part too, whatever is in it', async () => {
    const stream = await open({ ordering_key: { header: 'X-Customer' }, expand_array: true });
    const keys = async () => (await world.entries(stream.id)).map(({ partitionkey }) => partitionkey);
    expect((await post(at, stream, '{"n":1}', { 'x-customer': 'c-1' })).status).toBe(200);
    expect((await post(at, stream, '{"n":2}', {})).status).toBe(200);
    expect((await post(at, stream, '[1,2]', { 'X-CUSTOMER': 'c {2} \u00e9' })).status).toBe(200);
    expect((await post(at, stream, '{"n":3}', { 'x-customer': 'k'.repeat(5_000) })).status).toBe(200);
    expect(await keys()).toEqual(['c-1', '', 'c {2} \u00e9', 'c {2} \u00e9', 'k'.repeat(1_000)]);
  });

  describe('expand_array', () => {
    it('an array or lines without an element are taken in, and are no event', async () => {
      const stream = await open({ expand_array: true, dedupe: { header: 'x-id' } });
      const lines = { 'content-type': 'application/x-ndjson' };
      for (const [id, body, headers] of [
        ['a', '[]', {}],
        ['b', ' [ ] ', {}],
        ['c', '\n\n', lines],
      ] as const) {
        const [first, again] = [
          await post(at, stream, body, { 'x-id': id, ...headers }),
          await post(at, stream, body, { 'x-id': id, ...headers }),
        ];
        const told = { received: true, id: `${stream.id}/${id}`, events: 0 };
        expect([first.json, again.json]).toEqual([told, { ...told, duplicate: true }]);
      }
      expect(await world.entries(stream.id)).toEqual([]);
      expect((await post(at, stream, '[[],{}]', { 'x-id': 'd' })).json.events).toBe(2);
      expect(await names(stream)).toEqual(['d/0', 'd/1']);
    });

    it('what can not be taken apart is refused as a whole, and says why to the user', async () => {
      const stream = await open({ expand_array: true, max_body_bytes: 100_000 });
      const lines = { 'content-type': 'application/x-ndjson' };
      const ones = (n: number, between: string) => Array(n).fill(1).join(between);
      const refused: readonly (readonly [string, number, string | Buffer, Record<string, string>])[] = [
        ['nothing', 400, '', {}],
        ['cut short', 400, '[1,2', {}],
        ['an element that is none', 400, '[1,,2]', {}],
        ['two arrays', 400, '[1] [2]', {}],
        ['no UTF-8', 400, Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]), {}],
        ['a line that is cut short', 400, '{"a":1}\n{"b":', lines],
        ['too many lines', 413, ones(10_001, '\n'), lines],
        ['too many elements', 413, `[${ones(10_001, ',')}]`, {}],
        ['too many bytes', 413, JSON.stringify('x'.repeat(100_000)), {}],
      ];
      for (const [what, status, body, headers] of refused)
        expect([what, (await post(at, stream, body, headers)).status]).toEqual([what, status]);
      expect(await world.entries(stream.id)).toEqual([]);
      await eventually('it is told', async () => {
        const reasons = (await world.log.answers!(stream.id)).map((note) => JSON.parse(note).reason);
        return ['json_broken', 'parts_too_many', 'too_large'].every((reason) => reasons.includes(reason));
      });
      expect((await post(at, stream, '"one value"', {})).json.events).toBe(1);
    });
  });
});

import fc from 'fast-check';
import { Cursors, pageThrough } from './cursor.js';

const key = Buffer.alloc(32, 1).toString('base64');
const cursors = new Cursors(key);
const listing = { list: 'streams', workspaceId: 'ws_a', filters: { status: 'running', source_type: undefined } };

describe('cursors', () => {
  it('come back as what they were, for the same listing', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (last) =>
        expect(cursors.read(listing, cursors.write(listing, last))).toBe(last),
      ),
    );
  });

  it.each([
    ['another workspace', { ...listing, workspaceId: 'ws_b' }],
    ['another filter', { ...listing, filters: { status: 'paused' } }],
    ['no filter', { ...listing, filters: {} }],
    ['another list', { ...listing, list: 'connections' }],
  ])('one of %s is refused (trap 36)', (_what, other) => {
    expect(() => cursors.read(other, cursors.write(listing, 'str_1'))).toThrow(/cursor/);
  });

  it('a broken or made-up one is refused', () => {
    const good = cursors.write(listing, 'str_01j9k9z0a1b2c3d4');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.nat(good.length - 1).map((at) => good.slice(0, at)),
        ),
        (made) => {
          expect(() => cursors.read(listing, made)).toThrow(/cursor/);
        },
      ),
    );
    expect(() => cursors.read(listing, `${good}=`)).toThrow(/cursor/);
    expect(() => new Cursors(Buffer.alloc(32, 2).toString('base64')).read(listing, good)).toThrow(/cursor/);
  });

  it('pages show everything once, also while rows are added', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 1, max: 7 }),
        fc.infiniteStream(fc.boolean()),
        async (count, limit, added) => {
          let next = count;
          const rows = Array.from({ length: count }, (_, i) => ({ id: String(1000 + i) }));
          const read = (n: number, before: string | null) =>
            Promise.resolve(
              rows
                .filter((row) => before === null || row.id < before)
                .sort((a, b) => (a.id < b.id ? 1 : -1))
                .slice(0, n),
            );
          const seen: string[] = [];
          let cursor: string | undefined;
          do {
            const page = await pageThrough(cursors, listing, { limit, cursor }, read);
            seen.push(...page.rows.map((row) => row.id));
            cursor = page.cursor ?? undefined;
            if (added.next().value) rows.push({ id: String(1000 + next++) });
          } while (cursor !== undefined);
          expect(new Set(seen).size).toBe(seen.length);
          expect(seen).toHaveLength(count);
        },
      ),
    );
  });
});

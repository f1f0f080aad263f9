import type { DataSource } from 'typeorm';
import { ApiKeyStore, type Actor, type NewKey } from './index.js';
import { StoreUnderTest } from './store-under-test.js';

describe('API keys', () => {
  let under: StoreUnderTest;
  let store: DataSource;
  let actor: Actor;

  beforeAll(async () => {
    under = await StoreUnderTest.start();
    ({ store } = under);
    actor = await under.actor();
  });
  afterAll(() => under?.stop());

  it('knows a key by its digest, until it is revoked or expired', async () => {
    const keys = new ApiKeyStore(store);
    const made = await keys.create(actor, {
      name: 'k',
      scopes: ['streams:read'],
      expiresAt: null,
    });
    expect(made.clear).toMatch(/^plnx_live_[\w-]{43}$/);
    expect(await keys.find(made.clear)).toMatchObject({ id: made.key.id });
    expect(await keys.find(`${made.clear}x`)).toBeNull();
    const by = { ...actor, first: false };
    const rotated = (await keys.rotate(by, made.key.id, 60)) as NewKey;
    expect(await keys.find(made.clear)).not.toBeNull();
    expect(await keys.isLive(made.key.id)).toBe(true);
    await keys.revoke(by, made.key.id);
    expect(await keys.find(made.clear)).toBeNull();
    expect([await keys.isLive(made.key.id), await keys.isLive(rotated.key.id)]).toEqual([false, true]);
    expect(await keys.find(rotated.clear)).not.toBeNull();
    const old = await keys.create(actor, {
      name: 'old',
      scopes: [],
      expiresAt: new Date(Date.now() - 1000),
    });
    expect(await keys.find(old.clear)).toBeNull();
    expect(await keys.isLive(old.key.id)).toBe(false);
  });

  it('makes the first key once over gateways that boot at once, and takes a given one as it is', async () => {
    const keys = new ApiKeyStore(store);
    const made = (await Promise.all([1, 2, 3].map(() => keys.ensureFirst(null)))).filter(Boolean);
    expect(made).toHaveLength(1);
    const given = `plnx_live_${'g'.repeat(43)}`;
    await keys.ensureFirst(given);
    await keys.ensureFirst(given);
    expect(await keys.find(given)).toMatchObject({ first: true, scopes: ['admin:organization'] });
  });

  it('the first key is for its holder alone, and stays rotated where the environment still gives the old one', async () => {
    const keys = new ApiKeyStore(store);
    const given = `plnx_live_${'h'.repeat(43)}`;
    await keys.ensureFirst(given);
    const { id, workspace_id: workspaceId } = (await keys.find(given))!;
    const admin = { ...actor, workspaceId, first: false };
    expect([await keys.rotate(admin, id, 0), await keys.revoke(admin, id)]).toEqual(['first_only', 'first_only']);
    expect(await keys.find(given)).toMatchObject({ id, revoked_at: null });
    const next = (await keys.rotate({ ...admin, first: true }, id, 0)) as NewKey;
    await keys.ensureFirst(given);
    expect([next.key.first, await keys.find(given)]).toEqual([true, null]);
    expect(await keys.find(next.clear)).not.toBeNull();
  });
});

import { startRedis } from '@planasonix/testing';
import type { Caller } from '../contract/scopes.js';
import { RateLimits } from './rate-limits.js';

const PER_MINUTE = 3;

describe('limits that are counted in Redis', () => {
  let redis: Awaited<ReturnType<typeof startRedis>>;
  const gateways: RateLimits[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterEach(() => gateways.splice(0).forEach((one) => one.close()));
  afterAll(() => redis?.stop());

  async function gateway(): Promise<RateLimits> {
    // Its clock stands still: no minute ends while a test counts.
    const now = performance.now();
    const limits = new RateLimits(redis.url, PER_MINUTE, () => now);
    gateways.push(limits);
    await limits.connect();
    return limits;
  }
  const caller = (workspaceId: string, keyId: string) => ({ workspaceId, keyId }) as Caller;

  it('are those of a key, whichever gateway it asks', async () => {
    const [one, other] = [await gateway(), await gateway()];
    const left: string[] = [];
    for (const limits of [one, other, one]) {
      const { headers, retryAfter } = await limits.ofCaller(caller('ws_1', 'key_1'));
      expect(retryAfter).toBeNull();
      left.push(headers['x-ratelimit-remaining']);
    }
    expect(left).toEqual(['2', '1', '0']);
    expect((await other.ofCaller(caller('ws_1', 'key_1'))).retryAfter).toBeGreaterThan(0);
    expect((await other.ofCaller(caller('ws_1', 'key_2'))).retryAfter).toBeNull();
  });

  it('are ten times as much for a workspace, over all of its keys', async () => {
    const limits = await gateway();
    const ask = (n: number, workspaceId = 'ws_2') => limits.ofCaller(caller(workspaceId, `key_of_${workspaceId}_${n}`));
    for (let n = 0; n < 10 * PER_MINUTE; n++) expect((await ask(n)).retryAfter).toBeNull();
    const refused = await ask(99);
    expect(refused.retryAfter).toBeGreaterThan(0);
    expect(refused.headers['x-ratelimit-limit']).toBe(String(10 * PER_MINUTE));
    expect((await ask(1, 'ws_3')).retryAfter).toBeNull();
  });
});

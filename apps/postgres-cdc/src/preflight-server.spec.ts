import type { Client } from 'pg';
import { parseConfig } from './config.js';
import { checkServer, type ServerFacts } from './preflight-server.js';

/** A server with nothing to say against it. */
const WELL: ServerFacts = {
  ...{ version: 170_005, versionText: '17.5', user: 'reader', database: 'shop', walLevel: 'logical' },
  ...{ standby: false, mayReplicate: true, mayCreate: true, pooled: false, slotKeepMb: -1, slotIdleSeconds: 0 },
  ...{ slots: { used: 1, max: 2 }, senders: { used: 1, max: 2 } },
};

async function found(facts: Partial<ServerFacts>, slot?: { active: 't' | 'f' }, config: object = {}) {
  const checks = await checkServer(
    {
      client: { query: () => Promise.resolve({ rows: slot ? [slot] : [] }) } as unknown as Client,
      config: parseConfig({ tables: ['public.t'], ...config }),
      ...{ slotName: 's', publicationName: 'p', ownsSlot: false, ownsPublication: false },
      ...{ walBudget: null, givenUp: false, excluded: null },
    },
    { ...WELL, ...facts },
  );
  const findings = checks.filter(({ severity }) => severity !== 'info');
  for (const { fix } of findings) expect(fix).toMatch(/\w/);
  return findings.map(({ code, severity }) => `${severity} ${code}`);
}

describe('what a preflight says of a server', () => {
  it('is nothing where all is well', async () => {
    expect(await found({})).toEqual([]);
  });

  it.each<[string, Partial<ServerFacts>, string]>([
    ['a version that is too old', { version: 130_000 }, 'error config_invalid'],
    ['a version that nobody has tested', { version: 190_000, versionText: '19.0' }, 'warning server_version'],
    ['a WAL without changes of rows', { walLevel: 'replica' }, 'error wal_level'],
    ['a user who may not replicate', { mayReplicate: false }, 'error permission_denied'],
    ['a standby that decodes nothing', { standby: true, version: 150_009 }, 'error config_invalid'],
    ['a pooler', { pooled: true }, 'warning pooler'],
    ['slots that are all taken', { slots: { used: 2, max: 2 } }, 'error too_many_connections'],
    ['senders that are all taken', { senders: { used: 2, max: 2 } }, 'error too_many_connections'],
    ['a bound on what slots keep', { slotKeepMb: 64 }, 'warning slot_may_be_lost'],
    ['a bound on how long slots are idle', { slotIdleSeconds: 60 }, 'warning slot_may_be_lost'],
  ])('%s comes with what mends it', async (_what, facts, finding) => {
    expect(await found(facts)).toEqual([finding]);
  });

  it('a standby of 16 can be read from', async () => {
    expect(await found({ standby: true, version: 160_000 })).toEqual([]);
  });

  it('a slot that is there needs no other, and one that is read no other sender', async () => {
    const taken = { slots: { used: 2, max: 2 }, senders: { used: 2, max: 2 } };
    expect(await found(taken, { active: 'f' })).toEqual(['error too_many_connections']);
    expect(await found(taken, { active: 't' })).toEqual([]);
  });

  it('rows alone need neither slot nor sender', async () => {
    const facts = { slots: { used: 2, max: 2 }, senders: { used: 2, max: 2 }, walLevel: 'replica' };
    expect(await found(facts, undefined, { snapshot: 'only' })).toEqual([]);
    // The server is asked who it is in the replication protocol.
    expect(await found({ mayReplicate: false }, undefined, { snapshot: 'only' })).toEqual(['error permission_denied']);
  });
});

import type { Outbound } from '@planasonix/core';
import { eventually, startPostgres, type Postgres, type PostgresVersion } from '@planasonix/testing';
import type { Client } from 'pg';
import { encodePosition, type ServerIdentity } from './position.js';
import { openSession } from './session.js';
import { NOTEBOOK, readNotebook, type TableState } from './rows/rows-state.js';
import { settlePosition } from './settle-position.js';
import { identify } from './slot.js';

const outbound: Outbound = { resolve: (host) => Promise.resolve(host) };
const FAR = 'FFFFFFFF/0';

describe.each([14, 18] as const)('a position that is set by hand, on Postgres %i', (version: PostgresVersion) => {
  let server: Postgres;
  let control: Client;
  let identity: ServerIdentity;
  /** Where the slot was confirmed, and a place that was written after it. */
  let confirmed: string;
  let later: string;

  const open = (replication: boolean) =>
    openSession(
      {
        id: 'conn_1',
        type: 'postgres',
        config: { host: server.host, port: server.port, database: 'postgres', user: 'postgres', password: 'postgres' },
      },
      outbound,
      { name: 'planasonix_x', replication },
    );
  const sessions = {
    control: () => Promise.resolve(control),
    open: () => open(true),
    end: (session: Client) => session.end(),
  };
  const value = async (text: string): Promise<string> => (await control.query<{ v: string }>(text)).rows[0]!.v;
  let own = true;
  const holdings = { owns: () => own };
  const settle = (wanted: unknown, from: object | null = null, slot = 'ours') =>
    settlePosition(
      { sessions, slot, holdings, failover: false },
      wanted,
      new Map(from === null ? [] : [['', encodePosition({ ...whole(), ...from })]]),
    );
  const whole = (lsn = later) => ({ ...identity, phase: 'stream' as const, slot: 'ours', lsn, attempt: 3 });
  const settled = async (...of: Parameters<typeof settle>) => {
    const positions = await settle(...of);
    expect([...positions.keys()]).toEqual(['']);
    return JSON.parse(positions.get('')!) as object;
  };

  beforeAll(async () => {
    server = await startPostgres({ version });
    control = await open(false);
    const replication = await open(true);
    identity = await identify(replication);
    await replication.end();
    await control.query("SELECT pg_create_logical_replication_slot('ours', 'pgoutput')");
    await control.query("SELECT pg_create_logical_replication_slot('theirs', 'test_decoding')");
    confirmed = await value("SELECT confirmed_flush_lsn::text AS v FROM pg_replication_slots WHERE slot_name = 'ours'");
    await control.query('CREATE TABLE public.t (id int)');
    await control.query('INSERT INTO public.t VALUES (1)');
    later = await value('SELECT pg_current_wal_flush_lsn()::text AS v');
  });
  afterAll(async () => {
    await control?.end().catch(() => undefined);
    await server?.stop('immediate');
  });

  it('is what reading goes by, and nothing of what else was written', async () => {
    const expected = { ...whole(), attempt: 1 };
    expect(await settled({ lsn: later.toLowerCase() })).toEqual(expected);
    expect(await settled({ lsn: confirmed })).toEqual({ ...expected, lsn: confirmed });
    expect(await settled({ lsn: confirmed }, { attempt: 4 })).toMatchObject({ lsn: confirmed, attempt: 4 });
    // A whole one, as GET shows it, with fields of a later version.
    expect(await settled({ ...whole(), tables: ['x'] }, { attempt: 2 })).toEqual(whole());
  });

  it('does not lose rows that were still to be read: their tables are not noted as read (Invariant 2)', async () => {
    const table = (oid: number, over: Partial<TableState>): TableState => ({
      ...{
        oid,
        table: JSON.stringify(['public', `t${oid}`]),
        order: null,
        id: 'i',
        attempt: 1,
        key: ['id'],
        again: [],
        rows: 5,
      },
      ...{ lanes: [{ after: ['7'], upto: null, chunk: 1 }], empties: false, emptied: false, done: false },
      ...over,
    });
    const sift = { oid: 3, held: '5:5:', until: later };
    const tables = [table(1, { done: true }), table(2, {}), table(3, { done: true, order: 'snap_1' })];
    const positions = await settle({ lsn: later }, { rows: { tables, sifts: [sift] } });
    expect(readNotebook(positions.get(NOTEBOOK))?.tables).toEqual(new Map([[1, 'public.t1']]));
    expect(JSON.parse(positions.get('')!)).toEqual({ ...whole(), rows: { tables: [], sifts: [sift] } });
    for (const phase of ['snapshot', 'rows'])
      expect(readNotebook((await settle({ lsn: later }, { phase })).get(NOTEBOOK))?.tables).toEqual(new Map());
    // What is noted already stays.
    const noted = new Map([['', encodePosition(whole())], [NOTEBOOK, 'as it is']]); // prettier-ignore
    expect((await settlePosition({ sessions, slot: 'ours', holdings, failover: false }, { lsn: later }, noted)).get(NOTEBOOK)).toBe('as it is'); // prettier-ignore
  });

  it('is refused with both places where the slot is beyond it (trap 5, Invariant 2)', async () => {
    await expect(settle({ lsn: '0/1' })).rejects.toMatchObject({
      code: 'offset_gap',
      message: expect.stringMatching(new RegExp(`at ${confirmed}.* 0/1 `)),
      hint: expect.stringContaining(confirmed),
    });
  });

  it('is refused where the server has not written that far', async () => {
    await expect(settle({ lsn: FAR })).rejects.toMatchObject({
      code: 'offset_out_of_range',
      message: expect.stringContaining(FAR),
    });
  });

  it('is refused on another server, or another history of this one (trap 6)', async () => {
    const code = 'source_identity_changed';
    await expect(settle({ ...whole(), system_id: '7' })).rejects.toMatchObject({ code });
    await expect(settle({ ...whole(), timeline: identity.timeline + 1 })).rejects.toMatchObject({ code });
    // A bare LSN means the server that was read so far; a whole position says which is meant.
    await expect(settle({ lsn: later }, { system_id: '7' })).rejects.toMatchObject({ code });
    expect(await settled(whole(), { system_id: '7' })).toEqual(whole());
  });

  it('is refused where it is no place at all', async () => {
    for (const wanted of [
      ...[null, 7, 'x', [], {}, { lsn: 'zz' }, { lsn: '0/0' }, { lsn: 5 }, { lsn: later, system_id: 7, timeline: 1 }],
      ...[
        { lsn: later, system_id: '7' },
        { ...whole(), phase: 'snapshot' },
        { ...whole(), slot: 'other' },
      ],
      ...[
        { ...whole(), attempt: 'many' },
        { ...whole(), attempt: -1 },
      ],
    ])
      await expect(settle(wanted)).rejects.toMatchObject({ code: 'config_invalid', hint: expect.any(String) });
  });

  it('is refused where the slot is gone, is of another plugin, or has lost its WAL (trap 9)', async () => {
    await expect(settle({ lsn: later }, null, 'never_made')).rejects.toMatchObject({ code: 'slot_lost' });
    await expect(settle({ lsn: later }, null, 'theirs')).rejects.toMatchObject({ code: 'config_invalid' });
    await control.query("SELECT pg_drop_replication_slot('theirs')");
    const admin = await server.connect();
    await admin.query("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    await admin.query('SELECT pg_reload_conf()');
    await eventually('the slot is lost', async () => {
      await admin.query("SELECT pg_logical_emit_message(false, 'x', 'x')");
      await admin.query('SELECT pg_switch_wal()');
      await admin.query('CHECKPOINT');
      return (await value('SELECT wal_status AS v FROM pg_replication_slots')) === 'lost';
    });
    await expect(settle({ lsn: later })).rejects.toMatchObject({
      code: 'slot_lost',
      hint: expect.not.stringContaining('pg_drop_replication_slot'),
    });
    own = false;
    await expect(settle({ lsn: later })).rejects.toMatchObject({
      code: 'slot_lost',
      hint: expect.stringContaining("SELECT pg_drop_replication_slot('ours')"),
    });
    await control.query("SELECT pg_drop_replication_slot('ours')");
    await expect(settle({ lsn: later })).rejects.toMatchObject({ code: 'slot_lost' });
    await admin.end();
  });

  it('is refused as unreachable where the server went away', async () => {
    await server.stop('immediate');
    await expect(settle({ lsn: later })).rejects.toMatchObject({ code: 'source_unreachable' });
  });
});

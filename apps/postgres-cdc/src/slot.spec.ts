import type { PgPosition } from './position.js';
import { holds, type SlotState } from './slot.js';

describe('a slot that was invalidated (trap 9)', () => {
  const lost: SlotState = {
    ...{ plugin: 'pgoutput', database: 'd', active_pid: null, confirmed_flush_lsn: '0/10', wal_status: 'lost' },
    restart_lsn: null,
  };
  const position = { lsn: '0/20' } as PgPosition;
  const said = (slot: SlotState, own = true): unknown => {
    try {
      return holds(slot, 's', position, own);
    } catch (error) {
      return error;
    }
  };

  it.each<[string, Partial<SlotState>, string]>([
    ['before 16', {}, ': the server has removed WAL that it needed.'],
    ['on 16', { conflicting: 'true' }, ': the server has removed WAL that it needed.'],
    ['on a standby of 16', { conflicting: 'true', restart_lsn: '0/8' }, ' (conflict with recovery).'],
    ['wal_removed', {}, ' (wal_removed): the server has removed WAL that it needed.'],
    ['rows_removed', {}, ' (rows_removed): the primary has removed rows of its catalogs that it needed.'],
    ['wal_level_insufficient', {}, ' (wal_level_insufficient): wal_level is not logical any more at the primary.'],
    ['idle_timeout', {}, ' (idle_timeout): nobody has read it for as long as idle_replication_slot_timeout says.'],
    ['one_of_later', {}, ' (one_of_later).'],
  ])('says why, as far as the server does: %s', (name, of, text) => {
    const slot = { ...lost, ...(name.includes('_') ? { invalidation_reason: name } : {}), ...of };
    const message = `The replication slot s was invalidated${text}`;
    expect(said(slot)).toMatchObject({ code: 'slot_lost', message });
    expect(said(slot, false)).toMatchObject({ message, hint: expect.stringContaining('pg_drop_replication_slot') });
  });
});

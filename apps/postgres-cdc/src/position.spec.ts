import { decodePosition, encodePosition, sameServer, type PgPosition } from './position.js';
import { holds } from './slot.js';

const position: PgPosition = { system_id: '7', timeline: 1, phase: 'stream', slot: 's', lsn: '1/100', attempt: 1 };
const slot = {
  plugin: 'pgoutput',
  database: 'd',
  active_pid: null,
  restart_lsn: '1/0',
  confirmed_flush_lsn: '1/100',
  wal_status: 'reserved',
};

describe('a position', () => {
  it('is read as it was written, and nothing else is taken for one', () => {
    expect(decodePosition(encodePosition(position))).toEqual(position);
    for (const text of ['', '{}', 'null', '{"lsn":"1/0"}', '{"lsn":"x","system_id":"1","phase":"stream"}'])
      expect(() => decodePosition(text)).toThrow(/not a position/);
  });

  it('belongs to one server and one of its histories (trap 6)', () => {
    expect(() => sameServer(position, { system_id: '7', timeline: 1 })).not.toThrow();
    expect(() => sameServer(position, { system_id: '8', timeline: 1 })).toThrow(
      expect.objectContaining({ code: 'source_identity_changed' }),
    );
    expect(() => sameServer(position, { system_id: '7', timeline: 2 })).toThrow(
      expect.objectContaining({ code: 'source_identity_changed' }),
    );
  });

  it('is not resumed from where the slot is ahead, lost or gone (traps 5, 9; Invariant 2)', () => {
    expect(() => holds(slot, 's', position)).not.toThrow();
    expect(() => holds({ ...slot, confirmed_flush_lsn: '0/FFFFFFFF' }, 's', position)).not.toThrow();
    expect(() => holds({ ...slot, confirmed_flush_lsn: '1/101' }, 's', position)).toThrow(
      expect.objectContaining({ code: 'offset_gap' }),
    );
    expect(() => holds({ ...slot, wal_status: 'lost' }, 's', position)).toThrow(
      expect.objectContaining({ code: 'slot_lost' }),
    );
    // Of a slot that is the user's own it is said what he has to do.
    expect(() => holds({ ...slot, wal_status: 'lost' }, "it's", position, false)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("SELECT pg_drop_replication_slot('it''s');") }),
    );
    expect(() => holds(null, 's', position)).toThrow(expect.objectContaining({ code: 'slot_lost' }));
    expect(() => holds({ ...slot, plugin: 'test_decoding' }, 's', position)).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  });
});

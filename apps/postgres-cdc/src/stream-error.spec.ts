import { StreamError } from '@planasonix/core';
import { toStreamError, unreadable } from './stream-error.js';

const fault = (code: string | undefined, message = 'x', routine = '') =>
  Object.assign(new Error(message), { code, routine });

describe('errors of driver and server', () => {
  it.each([
    ['28P01', 'auth_failed'],
    ['28000', 'auth_failed'],
    ['3D000', 'config_invalid'],
    ['42501', 'permission_denied'],
    ['53300', 'too_many_connections'],
    ['55006', 'slot_active'],
    ['40001', 'source_unreachable'],
    ['40P01', 'source_unreachable'],
    ['55P03', 'source_unreachable'],
    ['57P01', 'source_unreachable'],
    ['57P02', 'source_unreachable'],
    ['57P03', 'source_unreachable'],
    ['08006', 'source_unreachable'],
    ['ECONNREFUSED', 'source_unreachable'],
    ['ETIMEDOUT', 'source_unreachable'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'tls_failed'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls_failed'],
    ['XX000', 'internal'],
  ])('%s is %s', (code, expected) => {
    expect(toStreamError(fault(code), 'reading').code).toBe(expected);
  });

  it('passes on no more of what a server says than a line, without escapes', () => {
    const { message } = toStreamError(fault('28P01', `\u001b[2J\n${'x'.repeat(3_000_000)}`), 'connecting');
    expect(message).toBe(`Failed while connecting: [2J ${'x'.repeat(296)}….`);
  });

  it.each([
    ['42704', 'replication slot "x" does not exist', 'ReplicationSlotAcquire', 'slot_lost'],
    ['42704', 'publication "x" does not exist', 'get_publication_oid', 'publication_missing'],
    ['55000', 'logical decoding requires wal_level >= logical', 'CheckLogicalDecodingRequirements', 'wal_level'],
    ['55000', 'can no longer get changes from replication slot "x"', 'StartLogicalReplication', 'slot_lost'],
    ['55000', 'replication slot "x" was not created in this database', 'CreateDecodingContext', 'config_invalid'],
    ['55000', 'logical decoding cannot be used while in recovery', '', 'config_invalid'],
    [undefined, 'Connection terminated unexpectedly', '', 'source_unreachable'],
    [undefined, 'timeout expired', '', 'source_unreachable'],
    [undefined, 'The server does not support SSL connections', '', 'tls_failed'],
    [undefined, 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string', '', 'auth_failed'],
  ])('%s %j is %s %s', (code, message, routine, expected) => {
    expect(toStreamError(fault(code, message, routine), 'reading').code).toBe(expected);
  });

  it('a publication that was dropped is a lost slot that is there: the hint says what is gone', () => {
    const dropped = toStreamError(fault('42704', 'publication "x" does not exist', 'get_publication_oid'), 'reading');
    expect(unreadable(dropped)).toMatchObject({
      ...{ code: 'slot_lost', message: expect.stringContaining('"x"') },
      hint: expect.stringMatching(/^The slot is there, the publication was dropped.*onLostPosition/),
    });
  });

  it('passes through what has its code, and keeps the text of unknown ones to itself', () => {
    const own = new StreamError('offset_gap', 'x');
    expect(toStreamError(own, 'reading')).toBe(own);
    const unknown = toStreamError(fault('22P02', 'invalid input syntax for type integer: "row value"'), 'reading');
    expect(unknown.message).toBe('Failed while reading (SQLSTATE 22P02).');
    expect(toStreamError('text', 'reading').code).toBe('internal');
  });
});

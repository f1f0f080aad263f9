import fc from 'fast-check';
import { lsnKey, lsnText, parseLsn } from './decode/index.js';
import type { PgPosition } from './position.js';
import { carriesOn, parseHistory } from './timeline.js';

const position: PgPosition = { system_id: '7', timeline: 2, phase: 'stream', slot: 's', lsn: '1/100', attempt: 1 };
const server = { system_id: '7', timeline: 4 };
const ours = { failover: true, synced: true };
const code = (wanted: string): Error => expect.objectContaining({ code: wanted, recourse: 'lost' }) as Error;

describe('the history of a server', () => {
  it('is read from its file, comments and odd lines aside', () => {
    const text = '1\t0/3000148\tno recovery target specified\n\n2\t1/00000100\tbefore 2024-01-01\n# note\n';
    expect(parseHistory(text)).toEqual(
      new Map([
        [1, parseLsn('0/3000148')],
        [2, parseLsn('1/100')],
      ]),
    );
    expect(parseHistory('').size).toBe(0);
  });
});

describe('going on after a promotion (trap 6, Invariant 2)', () => {
  const branches = parseHistory('1\t0/500\tx\n2\t1/100\tx\n3\t2/0\tx\n');

  it('up to the place where the histories part, and no byte beyond', () => {
    expect(() => carriesOn(position, null, server, branches, ours)).not.toThrow();
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 1n << 40n }), (lsn) => {
        const run = () => carriesOn({ ...position, lsn: lsnText(lsn) }, null, server, branches, ours);
        if (lsn <= parseLsn('1/100')) expect(run).not.toThrow();
        else expect(run).toThrow(code('source_identity_changed'));
      }),
    );
  });

  it('not where a transaction that came in part was committed beyond it, though the position lies before', () => {
    const at = (lsn: bigint) => () => carriesOn(position, `${lsnKey(lsn)}-00000007`, server, branches, ours);
    // An order names the beginning of the commit record.
    for (const lsn of [0x1n, 0x1_000000ffn]) expect(at(lsn)).not.toThrow();
    for (const lsn of [0x1_00000100n, 0x1_00000101n, 0x5_00000000n])
      expect(at(lsn)).toThrow(code('source_identity_changed'));
    expect(at(0x1_00000234n)).toThrow(/part of the transaction that was committed at 1\/234/);
  });

  it('only with a slot that came over', () => {
    expect(() => carriesOn(position, null, server, branches, null)).toThrow(code('slot_lost'));
    for (const slot of [
      { failover: false, synced: true },
      { failover: true, synced: false },
    ])
      expect(() => carriesOn(position, null, server, branches, slot)).toThrow(code('source_identity_changed'));
  });

  it('only from an ancestor: not from a sibling, nor from a timeline that is yet to come', () => {
    for (const timeline of [4, 5, 9])
      expect(() => carriesOn({ ...position, timeline }, null, server, branches, ours)).toThrow(
        code('source_identity_changed'),
      );
  });
});

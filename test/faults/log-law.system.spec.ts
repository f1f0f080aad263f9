import type { LogEvent } from '../log.js';
import { LogLaw, placeOfGtids, sortable, type Breach } from './log-law.js';
import { TABLES, type Table } from './tables.js';

type Data = LogEvent['data'];
type Row = Record<string, unknown>;

/** An event of a table whose key is `id`. */
function event(of: Table, op: Data['op'], row: Row | null, more: Partial<Data> & { lsn?: number } = {}): LogEvent {
  const { lsn = 1, source, ...data } = more;
  const id = (row ?? more.before)?.['id'];
  return {
    ...{ entry: '', id: '', type: '', time: '', source: '', text: '', subject: of.subject },
    partitionkey: op === 't' ? '' : JSON.stringify({ id }),
    data: {
      ...{ op, before: null, after: op === 'd' ? null : row },
      ...data,
      source: { commit_lsn: `0/${lsn.toString(16)}`, seq: 0, ...source },
    },
  };
}

const { hot, whole, account } = TABLES;
const anew = (of: Table): LogEvent => event(of, 't', null, { source: { snapshot: true } });
const gone = (of: Table, row: Row, lsn: number): LogEvent => event(of, 'd', null, { before: row, lsn });

function breaches(events: readonly LogEvent[], before: (law: LogLaw) => void = () => undefined): Breach['charge'][] {
  const law = new LogLaw();
  before(law);
  return events.flatMap((one) => law.take(one)).map(({ charge }) => charge);
}

describe('the law of a log', () => {
  const one = { id: 1, v: 1 };
  const two = { id: 1, v: 2 };

  it('wants a row of a snapshot to be what the log holds (trap 13)', () => {
    expect(breaches([event(hot, 'r', one), event(hot, 'u', two), event(hot, 'r', two)])).toEqual([]);
    expect(breaches([event(hot, 'r', one), event(hot, 'u', two), event(hot, 'r', one)])).toEqual(['wrong']);
    expect(breaches([event(hot, 'c', two), event(hot, 'r', { id: 1 })])).toEqual(['wrong']);
  });

  it('lets no row come back that the log has said to be gone, by itself or with its table', () => {
    expect(breaches([event(hot, 'r', one), gone(hot, { id: 1 }, 1), event(hot, 'r', one)])).toEqual(['wrong']);
    expect(breaches([event(hot, 't', null), event(hot, 'r', one)])).toEqual(['wrong']);
    expect(breaches([gone(hot, { id: 1 }, 1), event(hot, 'c', one, { lsn: 2 }), event(hot, 'r', one)])).toEqual([]);
    expect(breaches([gone(hot, { id: 1 }, 1), event(account, 'r', one)])).toEqual([]);
  });

  it('knows nothing of a table that begins anew, nor of one in doubt until it does', () => {
    expect(breaches([event(hot, 'u', two), gone(hot, { id: 2 }, 2), anew(hot), event(hot, 'r', one)])).toEqual([]);
    expect(breaches([event(hot, 't', null), anew(hot), event(hot, 'r', one)])).toEqual([]);
    const doubted = [event(hot, 'u', two), event(hot, 'r', one)];
    const doubt = (law: LogLaw): void => law.doubt([hot.subject]);
    expect(breaches(doubted, doubt)).toEqual([]);
    expect(breaches([anew(hot), ...doubted], doubt)).toEqual(['wrong']);
  });

  it('lets a row bring values that no change has said, and those alone', () => {
    const unsaid = event(account, 'u', one, { unchanged: ['big'] });
    expect(breaches([unsaid, event(account, 'r', { ...one, big: 'text' })])).toEqual([]);
    expect(breaches([unsaid, event(account, 'r', { ...two, big: 'text' })])).toEqual(['wrong']);
    // A row that was deleted right before it in the transaction is another one.
    const known = event(account, 'c', { id: 9, v: 9, big: 'nine' });
    const next = event(account, 'u', one, { unchanged: ['big'], lsn: 2, source: { seq: 1 } });
    expect(breaches([known, gone(account, { id: 9 }, 2), next, event(account, 'r', { ...one, big: 'text' })])).toEqual(
      [],
    );
  });

  it('wants the row from before to be what the log holds, all of it where the identity is FULL (trap 14)', () => {
    const known = event(whole, 'c', one);
    expect(breaches([known, event(whole, 'u', two, { before: one }), gone(whole, two, 2)])).toEqual([]);
    expect(breaches([known, event(whole, 'u', two, { before: two })])).toEqual(['wrong']);
    expect(breaches([known, event(whole, 'u', two)])).toEqual(['wrong']);
    expect(breaches([known, gone(whole, { id: 1 }, 2)])).toEqual(['wrong']);
    expect(breaches([event(account, 'c', one), gone(account, { id: 1 }, 2)])).toEqual([]);
  });

  it('wants no row inside a transaction, and no transaction behind a later one', () => {
    const changes = [event(hot, 'u', one), event(hot, 'u', two)];
    expect(breaches([changes[0]!, event(account, 'r', one), changes[1]!])).toEqual(['torn']);
    expect(breaches([changes[0]!, anew(account), changes[1]!])).toEqual(['torn']);
    expect(breaches([...changes, event(account, 'r', one), event(hot, 'u', one, { lsn: 2 })])).toEqual([]);
    expect(breaches([event(hot, 'u', one, { lsn: 2 }), event(hot, 'u', two)])).toEqual(['wrong']);
  });

  it('compares places of the WAL as numbers', () => {
    expect(sortable('0/FF') < sortable('0/100')).toBe(true);
    expect(sortable('F/0') < sortable('10/0')).toBe(true);
  });

  it('goes by the GTIDs of MariaDB and MySQL, whose servers come one after the other', () => {
    expect(placeOfGtids('0-1-9') < placeOfGtids('0-2-10')).toBe(true);
    expect(placeOfGtids('')).toBe('');
    const [first, second] = ['f1e2', '0a1b'];
    expect(placeOfGtids(`${first}:1-5:7-9`)).toBe(placeOfGtids(`${first}:9`));
    expect(placeOfGtids(`${first}:900`) < placeOfGtids(`${second}:1-2,\n${first}:1-5`)).toBe(true);
    expect(placeOfGtids(`${second}:1-2,${first}:1-900`)).toBe(placeOfGtids(`${second}:2`));
  });
});

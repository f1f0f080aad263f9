import { eventually } from '@planasonix/testing';
import type { LogEvent } from '../log.js';
import { Ledger, type Change } from './ledger.js';
import { sortable } from './log-law.js';
import { Oracle, type Findings, type Gap } from './oracle.js';
import { mysqlGrammar } from './mysql-grammar.js';
import { postgresGrammar } from './postgres-grammar.js';
import type { Session } from './origin.js';
import { seedOf } from './random.js';
import { firstTurn, plan } from './statements.js';
import { TABLES } from './tables.js';
import { Writer } from './writer.js';

/** A log and a ledger that agree, and one thing that does not: the judge has to see each. */
const marker = (n: number): Change => ({
  op: 'u',
  subject: TABLES.marker.subject,
  key: '{"writer":1}',
  after: { writer: 1, n },
});
const hot = (id: number, v: number): Change => ({
  op: 'u',
  subject: TABLES.hot.subject,
  key: `{"id":${id}}`,
  after: { id, v, writer: 1 },
});

function logged(n: number, changes: readonly Change[]): LogEvent[] {
  return changes.map(({ op, subject, key, after }, seq) => ({
    entry: `${n}-${seq}`,
    id: `${n}-${seq}`,
    type: '',
    subject,
    time: '2026-01-01T00:00:00Z',
    partitionkey: key,
    source: '',
    text: '',
    data: { op, before: null, after, source: { commit_lsn: `0/${n.toString(16)}`, seq } },
  }));
}

const place = (n: number): string => sortable(`0/${n.toString(16)}`);

/** Three transactions of two changes, each begun at its own number; `of` may spoil the log. */
function judged(of: (log: LogEvent[][]) => LogEvent[], committed = [1, 2, 3], gap: Gap | null = null): Findings {
  const ledger = new Ledger();
  const made = [1, 2, 3].map((n) => [marker(n), hot(n, n)]);
  for (const n of [1, 2, 3]) {
    if (committed.includes(n)) ledger.committed(`1:${n}`, made[n - 1]!, place(n));
    else ledger.rolledBack(`1:${n}`);
  }
  const oracle = new Oracle(ledger);
  oracle.take(of(made.map((changes, i) => logged(i + 1, changes))));
  if (gap !== null) oracle.excuse(gap);
  return oracle.judge(new Map(oracle.folded.rows));
}

const charged = (findings: Findings): string[] =>
  (['lost', 'phantom', 'torn', 'repeated', 'wrong'] as const).filter((charge) => findings[charge].length > 0);

describe('the judge of the fault battery', () => {
  it('finds nothing where there is nothing', () => {
    const findings = judged((log) => log.flat());
    expect(charged(findings)).toEqual([]);
    expect(findings).toMatchObject({ changes: 6, transactions: 3, excused: 0 });
  });

  it('finds a transaction that is lost, also the last one', () => {
    expect(charged(judged((log) => [...log[0]!, ...log[2]!]))).toEqual(['lost']);
    expect(charged(judged((log) => [...log[0]!, ...log[1]!]))).toEqual(['lost']);
  });

  it('excuses one that lies in a told gap, and none before the gap or behind the place where reading begins anew', () => {
    const without = (gap: Gap) => judged((log) => [...log[0]!, ...log[2]!], [1, 2, 3], gap);
    const findings = without({ from: place(1), to: place(3) });
    expect(charged(findings)).toEqual([]);
    expect(findings.excused).toBe(1);
    expect(charged(without({ from: place(3), to: place(9) }))).toEqual(['lost']);
    expect(charged(without({ from: place(1), to: place(2) }))).toEqual(['lost']);
  });

  it('excuses one whose rest a told gap has swallowed, and no other that is short', () => {
    const gap = { from: place(2), to: place(3) };
    const short = (log: LogEvent[][]) => [...log[0]!, log[1]![0]!, ...log[2]!];
    expect(charged(judged(short))).toEqual(['torn']);
    expect(charged(judged(short, [1, 2, 3], gap))).toEqual([]);
    const headless = (log: LogEvent[][]) => [...log[0]!, log[1]![1]!, ...log[2]!];
    expect(charged(judged(headless, [1, 2, 3], gap))).toEqual(['torn']);
  });

  it('goes on with what it has found where the log becomes another one', () => {
    const oracle = new Oracle(new Ledger());
    oracle.charge('wrong', 'of the first log');
    expect(oracle.anew().judge(new Map()).wrong).toEqual(['of the first log']);
  });

  it('excuses what a gap has cut short also where a copy of that log is read again, and no more of it missing', () => {
    const findings = (inTheCopy: number): Findings => {
      const ledger = new Ledger();
      const changes = [marker(1), hot(1, 1), hot(2, 2)];
      ledger.committed('1:1', changes, place(1));
      const events = logged(1, changes);
      let oracle = new Oracle(ledger);
      oracle.take(events.slice(0, 2));
      oracle.excuse({ from: place(1), to: place(3) });
      expect(charged(oracle.judge(new Map(oracle.folded.rows)))).toEqual([]);
      ledger.unsee();
      oracle = oracle.anew();
      oracle.take(events.slice(0, inTheCopy));
      return oracle.judge(new Map(oracle.folded.rows));
    };
    expect(charged(findings(2))).toEqual([]);
    expect(findings(1).torn).toEqual(['transaction 1:1: 1 of 3 changes']);
  });

  it('excuses what was before the beginning also where the log becomes another one, and no gap of the log before', () => {
    const findings = (gap: Gap): Findings => {
      const ledger = new Ledger();
      ledger.committed('1:1', [marker(1)], place(1));
      const oracle = new Oracle(ledger);
      oracle.excuse(gap);
      return oracle.anew().judge(new Map());
    };
    expect(findings({ from: '', to: place(2) })).toMatchObject({ excused: 1, lost: [] });
    expect(charged(findings({ from: place(1), to: place(2) }))).toEqual(['lost']);
  });

  it('finds a transaction that was rolled back', () => {
    expect(charged(judged((log) => log.flat(), [1, 3]))).toEqual(['phantom']);
  });

  it('finds a torn one: without its end, without its beginning, with another in between', () => {
    expect(charged(judged((log) => [log[0]![0]!, ...log[1]!, ...log[2]!]))).toContain('torn');
    expect(charged(judged((log) => [log[0]![1]!, ...log[1]!, ...log[2]!]))).toContain('torn');
    expect(charged(judged((log) => [log[0]![0]!, ...log[1]!, log[0]![1]!, ...log[2]!]))).toContain('torn');
  });

  it('finds what is there twice: a change, and a transaction under other ids', () => {
    expect(charged(judged((log) => [...log[0]!, log[0]![1]!, ...log[1]!, ...log[2]!]))).toContain('repeated');
    const again = (events: LogEvent[]) => events.map((event) => ({ ...event, id: `again ${event.id}` }));
    expect(charged(judged((log) => [...log.flat(), ...again(log[1]!)]))).toContain('repeated');
  });

  it('finds a table that was emptied by nobody, and one of which that was never told; a doubt excuses one of them', () => {
    const emptied = (n: number): LogEvent[] => logged(n, [{ op: 't', subject: 'public.bulk', key: '', after: null }]);
    const findings = (asked: number, sure: number, seen: number): string[] => {
      const ledger = new Ledger();
      for (let i = 0; i < asked; i++) {
        const done = ledger.emptying('public.bulk');
        if (i < sure) done();
      }
      const oracle = new Oracle(ledger);
      for (let i = 0; i < seen; i++) oracle.take(emptied(i + 1));
      return charged(oracle.judge(new Map()));
    };
    expect([findings(1, 1, 1), findings(2, 1, 1), findings(2, 1, 2)]).toEqual([[], [], []]);
    expect([findings(1, 1, 0), findings(1, 0, 2)]).toEqual([['lost'], ['phantom']]);
    const ledger = new Ledger();
    ledger.emptying('public.bulk')();
    const first = new Oracle(ledger);
    first.take(emptied(1));
    ledger.unsee();
    const anew = first.anew();
    anew.take(emptied(1));
    expect(charged(anew.judge(new Map()))).toEqual([]);
  });

  it('finds commits out of order, and a value that is another', () => {
    expect(charged(judged((log) => [...log[1]!, ...log[0]!, ...log[2]!]))).toEqual(['wrong']);
    const other = (event: LogEvent) => ({ ...event, data: { ...event.data, after: { id: 1, v: 9, writer: 1 } } });
    expect(charged(judged((log) => [log[0]![0]!, other(log[0]![1]!), ...log[1]!, ...log[2]!]))).toEqual(['wrong']);
  });

  it('finds a table that the folded log does not give', () => {
    const oracle = new Oracle(new Ledger());
    expect(oracle.judge(new Map([['public.hot {"id":1}', { id: 1 }]])).wrong).toHaveLength(1);
  });
});

describe.each([
  ['Postgres', postgresGrammar, ['TRUNCATE public."bulk"']],
  ['MySQL', mysqlGrammar('@@GLOBAL.gtid_executed'), ['ADD passing', 'DROP passing', 'TRUNCATE public."bulk"']],
] as const)('the load for %s', (_name, grammar, own) => {
  it('is a function of the seed', () => {
    const text = (seed: number) => JSON.stringify(Array.from({ length: 400 }, (_, n) => plan(grammar, seed, 1, n)));
    expect(text(5)).toBe(text(5));
    expect(text(5)).not.toBe(text(6));
  });

  it('is the same again in another scene, once the round has begun', async () => {
    const [said, seed] = [[] as string[], seedOf(5, 'a fault')];
    const query = (sql: string, values?: readonly unknown[]): Promise<never[]> => {
      said.push(JSON.stringify([sql, values]));
      return Promise.resolve([]);
    };
    const session = { query, end: () => Promise.resolve(), onEnd: () => undefined } as Session;
    const origin = { grammar: { ...grammar, mark: () => ({ sql: 'mark' }) }, connect: () => Promise.resolve(session) };
    const writer = new Writer(1, { ledger: new Ledger(), seed: 1, origin });
    writer.resume();
    await eventually('it has begun', () => said.length > 20);
    writer.reseed(seed);
    const from = firstTurn(seed) + 1;
    const wanted = [from, from + 1, from + 2]
      .flatMap((turn) => plan(grammar, seed, 1, turn).statements.slice(1))
      .map(({ sql, values }) => JSON.stringify([sql, values]));
    const isOwn = (one: string): boolean => !/^\["(mark|BEGIN|COMMIT|ROLLBACK)",/.test(one);
    const all = (): string => said.filter(isOwn).join('\n');
    await eventually('the same is said', () => all().includes(wanted.join('\n')), { everyMs: 20 });
    await writer.stop();
  });

  it('has in 400 transactions of two writers everything that the battery is about', () => {
    const plans = Array.from({ length: 800 }, (_, n) => plan(grammar, 1, 1 + (n % 2), n >> 1));
    const sql = plans.flatMap(({ before, statements }) => [...before, ...statements].map((one) => one.sql)).join('\n');
    for (const one of ['DELETE', 'SET id =', 'ROLLBACK TO', 'RELEASE', 'public."Pair"', ...own])
      expect(sql).toContain(one);
    expect(plans.some(({ end }) => end === 'rollback')).toBe(true);
    expect(plans.filter(({ tiny }) => tiny).length).toBeGreaterThan(50);
  });
});

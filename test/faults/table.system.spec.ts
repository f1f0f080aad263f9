import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { STEPS } from '@planasonix/core';
import type { Outcome } from './battery.js';
import { ALL_FAULTS, FAMILIES } from './families.js';
import type { Fault } from './fault.js';
import { CHARGES, type Findings } from './oracle.js';
import { named, nameOf, plan } from './plan.js';
import { random } from './random.js';
import { inDoubt, merged, parseRows, tableText, total } from './table.js';

const ROOT = path.resolve(__dirname, '../..');

/** Text of all TypeScript of the product but for specs and the list of crash points itself. */
function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sources(file);
    const counts = /\.ts$/.test(entry.name) && !/\.spec\.ts$|^steps\.ts$/.test(entry.name);
    return counts ? [readFileSync(file, 'utf8')] : [];
  });
}

describe('crash points', () => {
  const calls = ['libs', 'apps']
    .flatMap((folder) => sources(path.join(ROOT, folder)))
    .flatMap((text) => text.match(/\bstep\??\.?\((?:[^()]|\([^()]*\))*\)/g) ?? [])
    .flatMap((call) => call.match(/'[a-z-]+'/g) ?? [])
    .map((literal) => literal.slice(1, -1));
  const names = FAMILIES.flat().map(nameOf);
  const rows = parseRows(readFileSync(path.join(ROOT, 'docs/faults.md'), 'utf8')).map(({ fault }) => fault);

  it('are the ones that the code has', () => {
    expect([...new Set(calls)].sort()).toEqual([...STEPS].sort());
  });

  it.each(['kills', 'kafka'])('have each a fault of the family %s, and its row in docs/faults.md', (family) => {
    const wanted = [...new Set(calls)].map((step) => `${family}: at ${step}`);
    expect(wanted.filter((name) => !names.includes(name))).toEqual([]);
    expect(wanted.filter((name) => !rows.includes(name))).toEqual([]);
  });
});

const fault = (name: string, family = 'kills'): Fault => ({
  ...{ name, family, traps: family === 'kills' ? [38] : [] },
  inject: () => Promise.resolve(),
});

const none = (): Findings => ({
  ...(Object.fromEntries(CHARGES.map((charge) => [charge, []])) as unknown as Findings),
  ...{ changes: 10, transactions: 1, excused: 4 },
});

function outcome(of: Fault, seed: number, findings: Findings | null = none()): Outcome {
  const round = findings && {
    fault: of.name,
    seed,
    findings,
    recoveryMs: 1000,
    told: { code: 'offset_gap', afterMs: 2340 },
  };
  return { fault: of, seed, round, failure: round ? null : 'it did not come back', again: round === null };
}

describe('the table of the fault battery', () => {
  const [a, b] = [fault('a'), fault('b')];
  const wrong = { ...none(), lost: ['transaction 1:1'] };

  it('reads what it has written', () => {
    const rows = merged([], [outcome(a, 1), outcome(a, 2, wrong), outcome(b, 3, null)], 4, true);
    expect(parseRows(tableText(rows))).toEqual(rows);
    expect(rows.map(({ fault: name, seeds, run }) => [name, seeds, run])).toEqual([
      ['kills: a', '1 to 2', '4'],
      ['kills: b', '3', '4'],
    ]);
    expect([total(rows, 'lost'), total(rows, 'not judged'), total(rows, 'changes checked')]).toEqual([1, 1, 20]);
    expect(rows.map(inDoubt)).toEqual([[2], [3]]);
    expect(rows.map((row) => [row.told, row['told after, at worst'], row.excused])).toEqual([
      ['offset_gap (2)', '2.34 s', '8'],
      ['-', '-', '0'],
    ]);
  });

  it('has the mean of the middle two where no recovery is in the middle', () => {
    const took = (...ms: number[]) =>
      merged([], ms.map((recoveryMs, i) => { const one = outcome(a, i + 1); return { ...one, round: { ...one.round!, recoveryMs } }; }), 1, true)[0]; // prettier-ignore
    expect(took(4000, 1000)).toMatchObject({ 'median recovery': '2.50 s', 'worst recovery': '4.00 s' });
    expect(took(9000, 1000, 2000)).toMatchObject({ 'median recovery': '2.00 s' });
  });

  it('keeps rows of a table that had fewer columns', () => {
    const rows = parseRows('# What\n\n| fault | lost | run |\n| --- | --: | --: |\n| kills: a | 0 | 3 |\n');
    expect(rows).toMatchObject([{ fault: 'kills: a', lost: '0', run: '3', excused: '-' }]);
    expect(total(rows, 'excused')).toBe(0);
  });

  it('keeps a row in doubt until its seed was played again, also where all is made anew', () => {
    const charged = merged([], [outcome(a, 1), outcome(a, 7, wrong)], 1, false);
    const runs = (now: readonly Outcome[], anew: boolean) => merged(charged, now, 2, anew).map(({ run }) => run);
    expect(runs([outcome(a, 1)], false)).toEqual(['1', '2']);
    expect(runs([outcome(a, 1)], true)).toEqual(['1', '2']);
    expect(runs([outcome(a, 1), outcome(a, 7)], true)).toEqual(['2']);
    expect(plan([a], { seed: 1, rounds: 1, long: false, charged: [{ fault: 'kills: a', seed: 7 }] })).toEqual([
      { fault: a, seed: 1 },
      ...[7, 7, 7].map((seed) => ({ fault: a, seed })),
    ]);
    expect(plan([a], { seed: 7, rounds: 1, long: false, charged: [{ fault: 'kills: a', seed: 7 }] })).toHaveLength(3);
  });

  it('keeps rows of faults that were not played, but not where all is made anew', () => {
    const before = merged([], [outcome(a, 1)], 1, false);
    expect(merged(before, [outcome(b, 1)], 2, false)).toHaveLength(2);
    expect(merged(before, [outcome(b, 1)], 2, true)).toHaveLength(1);
  });
});

describe('a name', () => {
  const faults = ['cut', 'cut of the store', 'slow'].map((name) => ({ family: 'network', name }));
  const found = (...names: string[]) => named(faults, names).map(({ name }) => name);

  it('is that of one fault where one has it, else a part of the names of several', () => {
    expect(found('network: cut')).toEqual(['cut']);
    expect(found('network/cut', 'slow')).toEqual(['cut', 'slow']);
    expect(found('cut')).toEqual(['cut', 'cut of the store']);
    expect(found('network/')).toHaveLength(3);
    expect(found('nothing')).toEqual([]);
  });
});

describe('the long form', () => {
  const planned = plan(ALL_FAULTS, { seed: 1, rounds: 1, long: true, charged: [] });
  const seedsOf = (name: string): number[] => planned.flatMap((one) => (nameOf(one.fault) === name ? [one.seed] : []));

  it('kills 200 times while Postgres is read, whatever is killed elsewhere', () => {
    const ofPostgres = planned.filter(
      ({ fault: { family, traps } }) => traps.includes(38) && ['kills', 'kafka'].includes(family),
    );
    expect(ofPostgres.length).toBeGreaterThanOrEqual(200);
  });

  it('plays each fault', () => {
    expect(new Set(planned.map(({ fault: of }) => of)).size).toBe(ALL_FAULTS.length);
  });

  it('plays what depends on its seed with several, so that either branch comes', () => {
    expect(seedsOf('network: source stalled')).toEqual([1, 2, 3]);
    expect(seedsOf('mysql: log reset')).toEqual([1, 2]);
    expect(seedsOf('network: source stalled past the lease')).toEqual([1]);
    expect(seedsOf('webhook: one instance')).toEqual([1, 2, 3]);
    const isLive = (seed: number): boolean => {
      const rng = random(seed, 'slot dropped');
      rng.between(200, 1200);
      return rng.chance(0.5);
    };
    expect(new Set(seedsOf('postgres: slot dropped').map(isLive)).size).toBe(2);
  });
});

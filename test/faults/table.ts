/** The rows of docs/faults.md: each what became of one fault in one run. */
import type { Outcome } from './battery.js';
import { isClean } from './round.js';
import { CHARGES, type Charge } from './oracle.js';
import { nameOf } from './plan.js';

const COLUMNS = [
  'fault',
  'traps',
  'times',
  'changes checked',
  ...CHARGES,
  'not judged',
  'played again',
  'told',
  'told after, at worst',
  'excused',
  'median recovery',
  'worst recovery',
  'seeds',
  'seeds in doubt',
  'run',
] as const;
type Column = (typeof COLUMNS)[number];
const TEXTS: readonly Column[] = ['fault', 'traps', 'told', 'seeds', 'seeds in doubt'];
const NONE = '-';

/** As it stands in the table. */
export type Row = Readonly<Record<Column, string>>;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** @param outcomes of one fault in one run, one at least */
export function rowOf(outcomes: readonly Outcome[], run: number): Row {
  const { fault } = outcomes[0]!;
  const rounds = outcomes.flatMap(({ round }) => (round === null ? [] : [round]));
  const recoveries = rounds.map(({ recoveryMs }) => recoveryMs).sort((a, b) => a - b);
  const count = (charge: Charge): string =>
    String(rounds.reduce((sum, { findings }) => sum + findings[charge].length, 0));
  const codes = new Map<string, number>();
  const tellings = rounds.flatMap(({ told }) => (told === null ? [] : [told]));
  for (const { code } of tellings) codes.set(code, (codes.get(code) ?? 0) + 1);
  const inDoubt = outcomes.filter(({ round }) => round === null || !isClean(round)).map(({ seed }) => seed);
  return {
    fault: nameOf(fault),
    traps: fault.traps.join(', '),
    times: String(outcomes.length),
    'changes checked': String(rounds.reduce((sum, { findings }) => sum + findings.changes, 0)),
    ...(Object.fromEntries(CHARGES.map((charge) => [charge, count(charge)])) as Record<Charge, string>),
    'not judged': String(outcomes.length - rounds.length),
    'played again': String(outcomes.filter(({ again }) => again).length),
    told: [...codes].map(([code, times]) => `${code} (${times})`).join(', ') || NONE,
    'told after, at worst': tellings.length === 0 ? NONE : seconds(Math.max(...tellings.map(({ afterMs }) => afterMs))),
    excused: String(rounds.reduce((sum, { findings }) => sum + findings.excused, 0)),
    'median recovery': recoveries.length === 0 ? NONE : seconds(median(recoveries)),
    'worst recovery': recoveries.length === 0 ? NONE : seconds(recoveries.at(-1)!),
    seeds: ranges(outcomes.map(({ seed }) => seed)),
    'seeds in doubt': inDoubt.length === 0 ? NONE : inDoubt.join(', '),
    run: String(run),
  };
}

/** `1 to 3, 7` */
/** @param sorted not empty */
const median = (sorted: readonly number[]): number =>
  (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;

function ranges(seeds: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const seed of [...new Set(seeds)].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === seed - 1) last[1] = seed;
    else parts.push([seed, seed]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from} to ${to}`)).join(', ');
}

/** Seeds of rounds that were charged or not judged. */
export const inDoubt = (row: Row): number[] =>
  row['seeds in doubt'] === NONE ? [] : row['seeds in doubt'].split(', ').map(Number);

/** Rows that were made before there was this column count for nothing. */
export const total = (rows: readonly Row[], column: Column): number =>
  rows.reduce((sum, row) => sum + (row[column] === NONE ? 0 : Number(row[column])), 0);

const cellsOf = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

/** A table that was made when there were fewer columns has `-` in the others. */
export function parseRows(text: string): Row[] {
  const [head = [], ...lines] = text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map(cellsOf);
  return lines.flatMap((cells) => {
    if (cells[0]!.startsWith('--')) return [];
    return [Object.fromEntries(COLUMNS.map((column) => [column, cells[head.indexOf(column)] ?? NONE])) as Row];
  });
}

export function tableText(rows: readonly Row[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(COLUMNS),
    line(COLUMNS.map((column) => (TEXTS.includes(column) ? '---' : '--:'))),
    ...rows.map((row) => line(COLUMNS.map((column) => row[column]))),
  ].join('\n');
}

/**
 * Rows of earlier runs beside those of this one. A row stays where its fault was not played now, and where it has a seed
 * in doubt that was not played again.
 */
export function merged(earlier: readonly Row[], now: readonly Outcome[], run: number, anew: boolean): Row[] {
  const byFault = new Map<string, Outcome[]>();
  for (const one of now) byFault.set(nameOf(one.fault), [...(byFault.get(nameOf(one.fault)) ?? []), one]);
  const stays = (row: Row): boolean => {
    const seeds = new Set(byFault.get(row.fault)?.map(({ seed }) => seed));
    const doubtful = inDoubt(row);
    if (doubtful.length > 0) return !doubtful.every((seed) => seeds.has(seed));
    return !anew && !byFault.has(row.fault);
  };
  const rows = [...earlier.filter(stays), ...[...byFault.values()].map((outcomes) => rowOf(outcomes, run))];
  return rows.sort((a, b) => (a.fault < b.fault ? -1 : a.fault > b.fault ? 1 : Number(a.run) - Number(b.run)));
}

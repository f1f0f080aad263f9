import { eventually } from '@planasonix/testing';
import { isEqual, type TableComparison } from './compare.js';
import type { DemoLog } from './demo-log.js';
import type { DemoSource } from './demo-source.js';
import { bytes, type Figures, whole } from './figures.js';
import { Fold } from './fold.js';
import { Waits } from './waits.js';

interface LoggedData {
  readonly source: { readonly snapshot: boolean; readonly ts_ms: number };
}

/** Every entry of the log, oldest first. */
async function foldLog(log: DemoLog): Promise<{ fold: Fold; waits: Waits }> {
  const fold = new Fold();
  const waits = new Waits();
  for await (const entry of log.all()) {
    fold.add(entry);
    waits.add(entry.loggedAt, (JSON.parse(entry.data) as LoggedData).source);
  }
  return { fold, waits };
}

/**
 * Waits until the row that was written last is in the log: order is the source's, so all before it is there too.
 * Looks at the newest entries only: the snapshot is over when the mark is made.
 */
export const waitForMark = (log: DemoLog, mark: number): Promise<unknown> =>
  eventually(
    `mark ${mark} is in the log`,
    async () =>
      (await log.newest(200)).some(
        ({ subject, partitionkey }) =>
          subject === 'shop.marks' && partitionkey.replaceAll(' ', '') === `{"id":${mark}}`,
      ),
    { timeoutMs: 120_000, everyMs: 50 },
  );

/** Folds the log, compares it with the source and prints what was compared. @returns whether all is equal. */
export async function verify(
  log: DemoLog,
  source: Pick<DemoSource, 'tables' | 'compare' | 'aboutTimes'>,
  figures: Figures,
  say: (line: string) => void,
): Promise<boolean> {
  const { fold, waits } = await foldLog(log);
  const tables = await source.compare(fold.rows());
  const { counts } = fold;
  const foreign = [...fold.rows().keys()].filter((table) => !source.tables.includes(table));
  say('');
  say(
    `Folded ${whole(fold.entries)} entries of the log by key: ${whole(counts.r)} reads, ${whole(counts.c)} inserts, ` +
      `${whole(counts.u)} updates, ${whole(counts.d)} deletes, ${counts.t} truncates; ` +
      `${whole(fold.carried)} unchanged big values carried over, ${fold.repeated} repeated ids.`,
  );
  say('Compared with the tables of the source, row by row, every digit:');
  for (const table of tables) {
    say(`  ${tableLine(table)}`);
    for (const example of table.examples) say(`          ${example.slice(0, 400)}`);
  }
  for (const problem of [...fold.problems.slice(0, 10), ...foreign.map((name) => `the log has a table ${name}`)])
    say(`  ! ${problem}`);
  const equal = tables.every(isEqual) && fold.problems.length === 0 && foreign.length === 0 && fold.repeated === 0;
  const rows = tables.reduce((sum, { inSource }) => sum + inSource, 0);
  say(
    `Figures: ${whole(fold.entries)} events, ${bytes(figures.totalBytes)}, ` +
      `${whole(figures.committed)} commits and ${whole(figures.rolledBack)} rollbacks in the shop, ` +
      `${waits.summary()}${source.aboutTimes}, lag ${figures.lagSeconds.toFixed(1)} s at the end.`,
  );
  say(equal ? `EQUAL: ${whole(rows)} rows in ${tables.length} tables.` : 'NOT EQUAL: see the lines above.');
  return equal;
}

const tableLine = (table: TableComparison): string =>
  `${isEqual(table) ? 'equal ' : 'DIFFER'}  ${table.table.padEnd(17)} ${whole(table.inSource).padStart(8)} rows, ` +
  `${whole(table.inLog).padStart(8)} from the log` +
  (isEqual(table) ? '' : `; ${whole(table.missing)} missing, ${whole(table.extra)} too many`);

import type { Clock } from '@planasonix/core';
import type { Client } from 'pg';
import { seesUnlisted } from '../condition-reach.js';
import type { PostgresConfig } from '../config.js';
import { heldBack, obeyedBy, UNASKED } from '../publication-filter.js';
import { askedTables, describeTable, type SourceTable } from '../tables.js';
import { type KeptTables, lockOut } from './kept-tables.js';
import { cutLanes } from './lanes.js';
import type { RowTask } from './row-task.js';
import { type Writers, writersOf } from './writers.js';

const WRITERS_MS = 100;
/** How often it is asked whether the publication lets its rows out by now. */
const WITHHELD_MS = 900;
/** So long others wait for a table's writers to end; then they have their turn. */
const PATIENCE_MS = 2_000;
/** So long the stream may stand for writers; then it goes on, and they are waited out beside it. */
const STANDING_MS = 2_000;

export interface TaskOpening {
  readonly config: PostgresConfig;
  readonly clock: Clock;
  /** See `ChunkDeps`. */
  readonly obeys: string | null;
  /** No stream is read beside the rows: nothing was delivered that they could be stale against. */
  readonly alone: () => boolean;
  readonly kept: Pick<KeptTables, 'letOthers' | 'rest' | 'letIn'>;
  control(): Promise<Client>;
  /** See `RowReadersDeps`. */
  readonly rekeyed: (oid: number, key: readonly string[]) => void;
  /** Asks for it; resolves when the stream stands still, or the task is not wanted any more. */
  stillness(task: RowTask): Promise<void>;
  /** Nobody wants it any more. */
  readonly ended: (task: RowTask) => boolean;
}

/**
 * Why some of a table's rows can't be read by their condition. `keyless`: it has no key by which they could be told from
 * changes and from other rows. `unlisted`: the condition speaks of columns that the publication holds back by now.
 */
export type Unfit = 'keyless' | 'unlisted';
type Opened = 'reading' | 'empties' | 'locked' | Unfit | 'gone' | 'ended';

/**
 * Makes a table ready to be read: watches its changes, waits out who wrote unseen, cuts lanes.
 *
 * @returns `empties`: readers have to be told first that they forget what they have of it; then it is opened again. `locked`:
 * it is once it may be.
 */
export async function openTask(task: RowTask, opening: TaskOpening): Promise<Opened> {
  for (;;) {
    const opened = await openOnce(task, opening);
    if (opened !== 'again') return opened;
  }
}

async function openOnce(task: RowTask, opening: TaskOpening): Promise<Opened | 'again'> {
  const { config, alone } = opening;
  // Only who waits for the table to be still, or reads it then, keeps the stream standing.
  task.wantsStill = false;
  const wasAlone = alone();
  const describes = async () => {
    const control = await opening.control();
    return describeTable(control, task.wish.oid, config, await obeyedBy(control, opening.obeys));
  };
  const table = await describes();
  if (table === null) return 'gone';
  const why = heldBack(table, config.snapshot === 'only');
  task.withheld = why !== null;
  if (why !== null) {
    // A partition by now comes under its root.
    const { oid, order } = task.wish;
    if (order === null && !(await askedTables(await opening.control(), config)).some((asked) => asked.oid === oid))
      return 'gone';
    task.note = why;
    await opening.clock.sleep(WITHHELD_MS);
    return opening.ended(task) ? 'ended' : 'again';
  }
  if (!task.keyIs(table)) {
    opening.rekeyed(task.wish.oid, table.key);
    if (opening.ended(task)) return 'ended';
    task.keyBecomes(table);
  }
  if (task.whole && task.wish.where !== null) return 'keyless';
  if (seesUnlisted(task.wish.where, table)) return 'unlisted';
  task.estimated ??= table.estimatedRows;
  const { attempt } = task.state;
  if (!task.whole && !task.over) task.watchNow();
  else if (task.slot.gate === task.watch) task.slot.gate = null;
  if (!alone()) await waitOut(task, opening);
  // Nothing was delivered that anybody would have to wait for.
  else task.watch.sharpened(task.watch.overflowCount);
  if (task.whole && !alone())
    while (!opening.ended(task) && !(await standing(task, opening))) await waitOut(task, opening);
  if (opening.ended(task)) return 'ended';
  // The stream is read too since: what it has delivered meanwhile has to be waited out.
  if (alone() !== wasAlone) return 'again';
  if (task.state.empties && !task.state.emptied) return 'empties';
  if (!task.whole && task.state.lanes.length === 0) {
    // He who had it locked then has been waited out, it may be.
    if (table.filter === UNASKED && (await describes())?.filter !== UNASKED) return 'again';
    const cut = async () =>
      cutLanes(await opening.control(), table, config.snapshot_readers).catch(async (error: unknown) => {
        // It was looked at before writers were waited out: it may have been renamed, changed or dropped since.
        const now = await describes();
        if (now !== null && formOf(now) === formOf(table)) throw error;
        return 'changed' as const;
      });
    const lanes = table.filter === UNASKED ? 'locked' : await cut();
    if (lanes === 'changed') return 'again';
    if (lanes === 'locked') {
      lockOut(task);
      return 'locked';
    }
    if (task.state.attempt === attempt) task.state.lanes = lanes;
  }
  // Begun over meanwhile, and keys forgotten with that: who has written since has to be waited out too.
  return task.state.attempt === attempt ? 'reading' : 'again';
}

/** All that a query for its rows is made of. */
const formOf = ({ estimatedRows: _, bytes: __, ...form }: SourceTable): string => JSON.stringify(form);

/** @returns whether the stream stands, and everything that it has delivered of the table is visible. */
async function standing(task: RowTask, opening: TaskOpening): Promise<boolean> {
  await opening.stillness(task);
  const writersNow = writersOfTask(task, opening);
  const until = opening.clock.monotonic() + STANDING_MS;
  for (let writers = await writersNow(); !writers.none;) {
    if (opening.ended(task) || opening.clock.monotonic() > until) {
      task.wantsStill = false;
      return false;
    }
    await opening.clock.sleep(WRITERS_MS);
    writers = writers.remaining(await writersNow());
  }
  return true;
}

/** Asks anew each time, for hours it may be: meanwhile the session may have broken, and another one was opened. */
const writersOfTask =
  ({ wish }: RowTask, opening: TaskOpening) =>
  async (): Promise<Writers> =>
    writersOf(await opening.control(), wish.oid);

/** What was delivered before anybody watched may not be visible yet; who wrote it holds its lock until it is (traps 12, 13). */
async function waitOut(task: RowTask, opening: TaskOpening): Promise<void> {
  const { clock, ended, kept } = opening;
  const writersNow = writersOfTask(task, opening);
  const until = clock.monotonic() + PATIENCE_MS;
  for (;;) {
    const since = task.watch.overflowCount;
    let writers = await writersNow();
    while (!writers.none && !ended(task)) {
      task.note = writers.text;
      if (task.kept === null && clock.monotonic() >= until) kept.letOthers(task);
      await (task.kept === null ? clock.sleep(WRITERS_MS) : kept.rest(task));
      writers = writers.remaining(await writersNow());
    }
    task.note = null;
    task.watch.sharpened(since);
    if (!task.watch.blurred) await kept.letIn(task);
    if (!task.watch.blurred || ended(task)) return;
  }
}

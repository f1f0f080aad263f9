/** A second stream, made while the first one runs, and killed while it is made. */
import { eventually } from '@planasonix/testing';
import type { LogEvent } from '../log.js';
import type { Injected } from './fault.js';
import { LogLaw, ofSnapshot } from './log-law.js';
import { TOO_MUCH, unlike } from './oracle.js';
import type { Origin, Session } from './origin.js';
import type { Random } from './random.js';
import type { Scene } from './scene.js';
import type { Row } from './rows.js';
import { ALL_TABLES, placeOf, TABLES, VAST, type Table } from './tables.js';
import { churn, makeVast, VAST_TABLES } from './vast.js';

/** One that reads what the scene's own stream reads, or more. */
export interface Other {
  readonly id: string;
  readonly tables: readonly Table[];
  /** Lets the changes of its own tables end. */
  calm(): Promise<void>;
}

/** @param vast also a table of several chunks, whose rows change meanwhile; not where there is no time for it */
export async function makeOther(scene: Scene, step: string, vast: Random | null = null): Promise<Other> {
  const large = vast === null || scene.options.hasty === true ? null : vast;
  if (large !== null) await makeVast(scene);
  const patterns = ['public.*', ...(large === null ? [] : [VAST_TABLES])];
  const id = await scene.makeStream(`other ${step} ${Date.now()}`, patterns);
  if (large === null) return { id, tables: ALL_TABLES, calm: () => Promise.resolve() };
  return { id, tables: [...ALL_TABLES, VAST], calm: churn(scene, large) };
}

export async function otherStream(
  scene: Scene,
  step: string,
  count: number,
  vast: Random | null = null,
): Promise<Injected> {
  const other = await makeOther(scene, step, vast);
  const ended = scene.arm(step, count);
  await scene.start(undefined, other.id);
  await ended();
  const overAt = Date.now();
  await scene.running(other.id);
  await scene.snapshotDone(other.id);
  const wrong = await equalsTables(scene, other);
  await deleted(scene, other.id, wrong);
  return { overAt, wrong: wrong.map((what) => `the other stream: ${what}`) };
}

/** Its log, read to its end more than once. */
class OtherLog {
  readonly law = new LogLaw();
  readonly wrong: string[] = [];
  readonly #ids = new Set<string>();
  #events = 0;
  #after: string | null = null;

  constructor(
    private readonly scene: Scene,
    private readonly other: Other,
    /** It has a gap that was told: what it said before the first new beginning is in doubt. */
    private gap: boolean,
  ) {}

  /** @returns whether the wanted event has come */
  async has(wanted: (event: LogEvent) => boolean): Promise<boolean> {
    let found = false;
    for await (const page of this.scene.log.pages(this.other.id, this.#after))
      for (const event of page) {
        this.#after = event.entry;
        this.#take(event);
        found ||= wanted(event);
      }
    return found;
  }

  #take(event: LogEvent): void {
    this.#ids.add(event.id);
    this.#events++;
    if (this.gap && event.data.op === 't' && ofSnapshot(event)) {
      this.gap = false;
      this.law.doubt(this.other.tables.map(({ subject }) => subject));
    }
    for (const { charge, what } of this.law.take(event)) this.wrong.push(`${charge}: ${what}`);
  }

  get repeated(): string[] {
    const times = this.#events - this.#ids.size;
    return times > 0 ? [`${times} ids are there twice`] : [];
  }
}

/** Its log, folded, is the tables; its ids are unique; no row of it is stale. @param gap it has one that was told */
export async function equalsTables(scene: Scene, other: Other, gap = false): Promise<string[]> {
  await other.calm();
  await scene.load.pause();
  const [, n] = (await scene.load.sentinel()).split(':').map(Number);
  const log = new OtherLog(scene, other, gap);
  const isLast = ({ subject, data }: LogEvent): boolean =>
    subject === TABLES.marker.subject && data.after?.['writer'] === 0 && data.after['n'] === n;
  await eventually('the last transaction is in the other log', () => log.has(isLast), {
    timeoutMs: 60_000,
    everyMs: 200,
  });
  const source = await scene.admin();
  const different = await differences(scene.origin, source, other.tables, log.law.folded.rows);
  await source.end();
  scene.load.resume();
  return [...different, ...log.repeated, ...log.wrong];
}

async function differences(
  origin: Origin,
  source: Session,
  tables: readonly Table[],
  folded: ReadonlyMap<string, Row>,
): Promise<string[]> {
  const lines: string[] = [];
  const places = new Set<string>();
  for (const one of tables)
    for await (const page of origin.pages(source, one))
      for (const row of page) {
        const place = placeOf(one, row);
        places.add(place);
        const line = unlike(folded, place, row);
        if (line !== null) lines.push(line);
      }
  for (const place of folded.keys()) if (!places.has(place)) lines.push(`${place}: ${TOO_MUCH}`);
  return lines;
}

/** It leaves nothing behind at the source. Trap 33 */
export async function deleted(scene: Scene, id: string, wrong: string[]): Promise<void> {
  // One that was not answered in time goes on, or is taken up by the one that asks again.
  let goesOn = false;
  const over = async () => {
    const told = await scene.ask('DELETE', `/api/streams/${id}?purge=true`);
    if (!told.text.includes('"deleting"')) return told;
    goesOn = true;
    throw new Error(told.text);
  };
  const answer = await eventually('the delete is over', over, { timeoutMs: 120_000, everyMs: 500 });
  if (answer.status !== 200 && !(goesOn && answer.status === 404))
    wrong.push(`delete answers ${answer.status} ${answer.text}`);
  wrong.push(...(await leftOf(scene, id)));
}

/** What a deleted stream has left behind at the source. */
export const leftOf = async ({ origin }: Scene, id: string): Promise<string[]> =>
  (await origin.left(id)).map((what) => `its ${what} is still there after the delete`);

/**
 * The judge: goes by the log alone and by what the writers know. Everything that a consumer could rightly complain of
 * is a line in one of its lists.
 */
import type { Folded, LogEvent } from '../log.js';
import type { Change, Ledger, Transaction } from './ledger.js';
import { commitOf, LogLaw, ofSnapshot } from './log-law.js';
import { rowText, type Row } from './rows.js';
import { ALL_TABLES, FLEETING, TABLES } from './tables.js';

export const CHARGES = ['lost', 'phantom', 'torn', 'repeated', 'wrong'] as const;
/**
 * - `lost`: committed and not in the log, not even in part
 * - `phantom`: in the log and never committed
 * - `torn`: a transaction that is there in part, or not in one piece
 * - `repeated`: an id, or a transaction, that is there twice
 * - `wrong`: another change than the one that was made, another order, a stale row of a snapshot, another old row, a
 *   table that the folded log does not give, a status that is not true
 */
export type Charge = (typeof CHARGES)[number];
export type Charges = Readonly<Record<Charge, readonly string[]>>;

export interface Findings extends Charges {
  readonly changes: number;
  readonly transactions: number;
  /** Transactions of a gap that was told, in whose place a new snapshot stands. */
  readonly excused: number;
}

interface Open {
  readonly lsn: string;
  readonly events: LogEvent[];
}

/**
 * What was committed in a told gap stands in the rows of a new snapshot only: behind the last commit that the log had
 * before it, and before the place where reading begins anew. Both `sortable`.
 */
export interface Gap {
  readonly from: string;
  readonly to: string;
}

const nothing = (): Record<Charge, string[]> => ({ lost: [], phantom: [], torn: [], repeated: [], wrong: [] });

export class Oracle {
  readonly #law = new LogLaw();
  #found = nothing();
  #gaps: Gap[] = [];
  readonly #missable = new Set<string>();
  readonly #emptied = new Set<string>();
  readonly #ids = new Set<string>();
  #open: Open | null = null;
  /** Transactions of which changes are missing. */
  #short: { readonly one: Transaction; readonly found: number }[] = [];
  #changes = 0;
  #transactions = 0;

  /** @param forgetful remembers ids of the last while only, for runs of hours */
  constructor(
    private readonly ledger: Ledger,
    private readonly forgetful = false,
  ) {}

  /** One over another log, which is judged from its beginning, and that is the stream's; what was found so far stays found. */
  anew(): Oracle {
    const next = new Oracle(this.ledger, this.forgetful);
    next.#found = this.#found;
    next.#gaps = this.#gaps.filter(({ from }) => from === '');
    return next;
  }

  get folded(): Folded {
    return this.#law.folded;
  }

  /** The greatest place of a commit that the log has so far. */
  get commit(): string {
    return this.#law.commit;
  }

  take(events: readonly LogEvent[]): void {
    if (this.forgetful && this.#ids.size > 500_000) this.#ids.clear();
    for (const event of events) {
      if (this.#ids.has(event.id)) this.charge('repeated', `id ${event.id} of ${event.subject}`);
      this.#ids.add(event.id);
      for (const { charge, what } of this.#law.take(event)) this.charge(charge, what);
      if (event.data.op === 't' && ofSnapshot(event)) this.#emptied.add(event.subject);
      if (ofSnapshot(event)) continue;
      const lsn = commitOf(event);
      if (this.#open?.lsn !== lsn) {
        this.#close();
        this.#open = { lsn, events: [] };
      }
      this.#open.events.push(event);
    }
  }

  /** A gap that was told, or what was before the beginning: the tables begin anew, each with `op:"t"` or with its rows. */
  excuse(gap: Gap): void {
    this.#gaps.push(gap);
    if (gap.from !== '') this.#law.doubt(ALL_TABLES.map(({ subject }) => subject));
  }

  /**
   * Changes of this table may be missing from now on, if the log says so: it has to tell readers to forget the table
   * (`op:"t"` of a snapshot) and to give all of its rows; the tables are compared in the end as always.
   */
  mayMiss(subject: string): void {
    this.#missable.add(subject);
    this.#emptied.delete(subject);
    this.#law.doubt([subject]);
  }

  /** Readers were told to forget the table. */
  toldOf(subject: string): boolean {
    return this.#emptied.has(subject);
  }

  charge(charge: Charge, what: string): void {
    this.#found[charge].push(what.slice(0, 300));
  }

  /**
   * Everything that was committed has been waited for: what is not there and in no gap is lost. Begins a new account.
   *
   * @param tables what the source holds now
   */
  judge(tables: ReadonlyMap<string, Row>): Findings {
    this.#close();
    let excused = 0;
    const gaps = this.#gaps.splice(0);
    const isExcused = (one: Transaction): boolean => gaps.some((gap) => mayLieIn(gap, one));
    for (const one of this.ledger.missing()) {
      if (isExcused(one)) excused++;
      else this.charge('lost', `transaction ${one.id} (${one.changes.length} changes)`);
    }
    this.ledger.excuse(this.ledger.missing());
    const unseen = this.ledger.unseenEmptied();
    if (gaps.length === 0) for (const subject of unseen) this.charge('lost', `${subject} was emptied`);
    for (const { one, found } of this.#short.splice(0)) {
      // The log was read again, from before a gap that was told earlier.
      if (one.cutTo === found) continue;
      if (isExcused(one)) {
        excused++;
        one.cutTo = found;
      } else this.charge('torn', `transaction ${one.id}: ${found} of ${one.changes.length} changes`);
    }
    for (const subject of this.#missable)
      if (!this.#emptied.has(subject)) this.charge('wrong', `changes of ${subject} are missing, and nobody was told`);
    this.#missable.clear();
    this.#compare(tables);
    const findings = { ...this.#found, changes: this.#changes, transactions: this.#transactions, excused };
    this.#found = nothing();
    this.#changes = 0;
    this.#transactions = 0;
    return findings;
  }

  #close(): void {
    const open = this.#open;
    this.#open = null;
    if (open === null) return;
    this.#transactions++;
    this.#changes += open.events.length;
    const marked = open.events.filter((event) => event.subject === TABLES.marker.subject);
    const ids = marked.map(({ data }) => `${String(data.after?.['writer'])}:${String(data.after?.['n'])}`);
    if (ids.length === 0 && open.events.length === 1 && open.events[0]!.data.op === 't') {
      const { subject } = open.events[0]!;
      if (!this.ledger.sawEmptied(subject)) this.charge('phantom', `${subject} was emptied by nobody`);
      return;
    }
    if (ids.length !== 1) {
      this.charge('torn', `commit ${open.lsn} has ${ids.length} marker rows and ${open.events.length} changes`);
      return;
    }
    const one = this.ledger.find(ids[0]!);
    if (one === null) {
      const known = this.ledger.wasRolledBack(ids[0]!) ? 'was rolled back' : 'is unknown';
      this.charge('phantom', `transaction ${ids[0]} ${known}`);
      return;
    }
    if (one.seen) {
      this.charge('repeated', `transaction ${one.id}`);
      return;
    }
    this.ledger.saw(one);
    this.#match(one, open);
  }

  #match(one: Transaction, { events }: Open): void {
    const { changes } = one;
    if (this.#missable.size > 0 && events.length < changes.length) return this.#matchWithout(one, events);
    // A large transaction enters the log in pieces: where a gap was told in the middle of it, its rest never comes.
    if (events.length < changes.length) this.#short.push({ one, found: events.length });
    if (events.length > changes.length)
      this.charge('torn', `transaction ${one.id}: ${events.length} of ${changes.length} changes`);
    const least = Math.min(events.length, changes.length);
    for (let i = 0; i < least; i++) {
      const difference = differs(changes[i]!, events[i]!);
      if (difference === null) continue;
      this.charge('wrong', `transaction ${one.id}, change ${i}: ${difference}`);
      return;
    }
    for (let i = 1; i < events.length; i++)
      if (Number(events[i]!.data.source['seq']) <= Number(events[i - 1]!.data.source['seq'])) {
        this.charge('torn', `transaction ${one.id}: its changes are out of order`);
        return;
      }
  }

  /** Everything but what may be missing has to be there, as it was made. */
  #matchWithout(one: Transaction, events: readonly LogEvent[]): void {
    const changes = one.changes.filter((change) => !this.#missable.has(change.subject));
    const there = events.filter((event) => !this.#missable.has(event.subject));
    if (there.length !== changes.length)
      this.charge('torn', `transaction ${one.id}: ${there.length} of ${changes.length} changes of other tables`);
    for (let i = 0; i < Math.min(there.length, changes.length); i++) {
      const difference = differs(changes[i]!, there[i]!);
      if (difference !== null) return this.charge('wrong', `transaction ${one.id}: ${difference}`);
    }
  }

  #compare(tables: ReadonlyMap<string, Row>): void {
    for (const line of comparison(this.folded.rows, tables)) this.charge('wrong', line);
  }
}

/** Its commit lies between what its writer has seen of the WAL before and after it. */
const mayLieIn = ({ from, to }: Gap, { began, ended }: Transaction): boolean =>
  began < to && (ended === null || ended > from);

/** What is not the same in the folded log and in the tables. */
export function comparison(folded: ReadonlyMap<string, Row>, tables: ReadonlyMap<string, Row>): string[] {
  const lines: string[] = [];
  for (const [place, row] of tables) {
    const line = unlike(folded, place, row);
    if (line !== null) lines.push(line);
  }
  for (const place of folded.keys()) if (!tables.has(place)) lines.push(`${place}: ${TOO_MUCH}`);
  return lines;
}

export const TOO_MUCH = 'in the folded log, not in the table';

/** `null`: the folded log has this row of a table. */
export function unlike(folded: ReadonlyMap<string, Row>, place: string, row: Row): string | null {
  const got = folded.get(place);
  if (got === undefined) return `${place}: in the table, not in the folded log`;
  const [is, wanted] = [rowText(got, [FLEETING]), rowText(row, [FLEETING])];
  return is === wanted ? null : `${place}: folded ${is}, table ${wanted}`;
}

/** `null`: it is the change that was made. */
function differs(change: Change, { data, subject, partitionkey }: LogEvent): string | null {
  const [is, was] = [`${data.op} ${subject} ${partitionkey}`, `${change.op} ${change.subject} ${change.key}`];
  if (is !== was) return `${is} in place of ${was}`;
  if (change.after === null) return data.after === null ? null : `${is} has a row`;
  const unsent = data.unchanged ?? [];
  if (data.after === null) return `${is} has no row`;
  const [got, wanted] = [rowText(data.after, unsent), rowText(change.after, unsent)];
  return got === wanted ? null : `${is} is ${got} in place of ${wanted}`;
}

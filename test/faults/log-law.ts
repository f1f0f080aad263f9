/**
 * What each event of a log has to be by what the log itself has said before: no row of a snapshot that is older than the
 * newest change of its key, no old row that is another than the one before, no transaction with others or rows inside.
 *
 * The law of a row (`op:"r"`). It is handed over once the stream has passed everything that its snapshot saw, and left
 * out where a change went before that its snapshot did not see (trap 13). So where it stands, the newest change of its
 * key is one that it saw, and the last one that it saw:
 *
 * - a key that the folded log holds: the row is what the fold holds. Values that the fold lacks, because a change named
 *   them in `unchanged` before the row had come, it may bring;
 * - a key that the log has said to be gone (a delete; a truncate: all keys of the table): there is no such row;
 * - a key that the log has said nothing of yet: any row; the tables are compared in the end.
 *
 * A table begins anew with `op:"t"` and `source.snapshot`: nothing is known of its keys. In a told gap, or where changes
 * of a table were not published, nothing is known of it until then (`doubt`).
 *
 * The same holds for `before`, where an update or a delete has one: it is what the fold holds.
 */
import { Folded, type LogEvent } from '../log.js';
import { rowText, type Row } from './rows.js';
import { FLEETING, WITH_OLD_ROWS } from './tables.js';

export interface Breach {
  readonly charge: 'torn' | 'wrong';
  readonly what: string;
}

/** LSNs as text that compares like the numbers: the places of commits, so that the battery can say which were before which. */
export const sortable = (lsn: string): string =>
  lsn
    .split('/')
    .map((half) => half.padStart(8, '0'))
    .join('/');

export const ofSnapshot = ({ data }: LogEvent): boolean => data.op === 'r' || data.source['snapshot'] === true;

/** Of MySQL: servers by their uuid, in the order in which they were primaries, which is that in which they are seen. */
const servers: string[] = [];

const fixed = (of: number | string): string => String(of).padStart(12, '0');

/** The last of these transactions of MariaDB (`0-1-42`) or MySQL (`uuid:42`, `uuid:1-42`), `sortable` among those of one scene. */
export function placeOfGtids(gtids: string): string {
  const places = gtids
    .split(/,\s*/)
    .filter((one) => one !== '')
    .map((one) => {
      const [server = '', ...ranges] = one.split(':');
      if (ranges.length === 0) return fixed(one.slice(one.lastIndexOf('-') + 1));
      if (!servers.includes(server)) servers.push(server);
      return `${fixed(servers.indexOf(server))}/${fixed(ranges.at(-1)!.split('-').at(-1)!)}`;
    });
  return places.sort().at(-1) ?? '';
}

export function commitOf({ data }: LogEvent): string {
  const { commit_lsn: lsn, gtid } = data.source as { commit_lsn?: string; gtid?: string };
  return lsn === undefined ? placeOfGtids(gtid ?? '') : sortable(lsn);
}

/** MariaDB and MySQL always say it, Postgres where it was told to. */
const saysOldRow = ({ subject, data: { source } }: LogEvent): boolean =>
  source['commit_lsn'] === undefined || WITH_OLD_ROWS.has(subject);

export class LogLaw {
  readonly folded = new Folded();
  /** Keys that the log has said to be gone, as the fold names them. */
  readonly #gone = new Map<string, Set<string>>();
  /** Tables that a change has emptied: every key that is not held is gone. */
  readonly #emptied = new Set<string>();
  readonly #doubtful = new Set<string>();
  #commit = '';
  /** Table of a row that came after the last change. */
  #rowOf: string | null = null;

  /** The greatest place of a commit so far; empty: none. */
  get commit(): string {
    return this.#commit;
  }

  /** Nothing is known of these tables until they begin anew. */
  doubt(subjects: Iterable<string>): void {
    for (const subject of subjects) this.#doubtful.add(subject);
  }

  take(event: LogEvent): Breach[] {
    const breaches = [...this.#order(event)];
    const wrong = this.#doubtful.has(event.subject) ? null : this.#difference(event);
    if (wrong !== null) breaches.push({ charge: 'wrong', what: wrong });
    this.folded.take(event);
    this.#learn(event);
    return breaches;
  }

  *#order(event: LogEvent): Generator<Breach> {
    const { subject } = event;
    if (ofSnapshot(event)) {
      this.#rowOf ??= subject;
      return;
    }
    const commit = commitOf(event);
    if (commit < this.#commit)
      yield { charge: 'wrong', what: `order: commit ${commit} after ${this.#commit} (${subject})` };
    if (commit === this.#commit && this.#rowOf !== null)
      yield { charge: 'torn', what: `commit ${commit} has rows of a snapshot of ${this.#rowOf} inside` };
    if (commit > this.#commit) this.#commit = commit;
    this.#rowOf = null;
  }

  /** `null`: it is as the law wants it. */
  #difference(event: LogEvent): string | null {
    const { subject, partitionkey, data } = event;
    const at = `${subject} ${partitionkey}`;
    const held = this.folded.rows.get(at);
    if (data.op === 'r') {
      if (held !== undefined) return unlike(`stale row: ${at}`, data.after ?? {}, held, true);
      const gone = this.#emptied.has(subject) || this.#gone.get(subject)?.has(at) === true;
      return gone ? `stale row: ${at} comes back, and the log has said that it is gone` : null;
    }
    if (data.op !== 'u' && data.op !== 'd') return null;
    const whole = saysOldRow(event);
    if (data.before === null) return whole ? `${data.op} ${at} has no row from before` : null;
    return held === undefined ? null : unlike(`before of ${data.op} ${at}`, data.before, held, whole);
  }

  #learn({ subject, partitionkey, data }: LogEvent): void {
    const at = `${subject} ${partitionkey}`;
    if (data.op === 't') {
      const anew = data.source['snapshot'] === true;
      this.#gone.delete(subject);
      if (anew) this.#doubtful.delete(subject);
      if (anew) this.#emptied.delete(subject);
      else this.#emptied.add(subject);
    } else if (data.op !== 'd') this.#gone.get(subject)?.delete(at);
    else if (this.#gone.has(subject)) this.#gone.get(subject)!.add(at);
    else this.#gone.set(subject, new Set([at]));
  }
}

/**
 * @param held `undefined` values are not known
 * @param whole every known column has to be there
 */
function unlike(what: string, row: Row, held: Row, whole: boolean): string | null {
  const names = Object.keys(whole ? { ...held, ...row } : row);
  const unknown = [FLEETING, ...Object.keys(held).filter((name) => held[name] === undefined)];
  const of = (one: Row): Row => Object.fromEntries(names.map((name) => [name, one[name]]));
  const [got, wanted] = [rowText(of(row), unknown), rowText(of(held), unknown)];
  return got === wanted ? null : `${what} is ${got} in place of ${wanted}`;
}

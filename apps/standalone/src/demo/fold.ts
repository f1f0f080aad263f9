import { membersOf, objectOf } from './json-text.js';

/** The fields of a log entry that a fold needs. */
export interface FoldEntry {
  readonly id: string;
  readonly subject: string;
  readonly partitionkey: string;
  /** JSON text. */
  readonly data: string;
}

/** Column → the text of its value. */
type Row = ReadonlyMap<string, string>;

/**
 * What a consumer does who keeps the newest version of each row: the log folded by key. Reads, inserts and updates
 * replace a row, deletes remove it, a truncate clears the table. A value that the source did not send (`unchanged`)
 * is the one of the version before; where the key changed, that of the row deleted just before. While rows are being
 * read beside the stream a change may come before the row that its value is in: the row has to follow.
 */
export class Fold {
  private readonly tables = new Map<string, Map<string, Row>>();
  private readonly ids = new Set<string>();
  private deleted: { readonly subject: string; readonly row: Row } | null = null;
  readonly counts = { r: 0, c: 0, u: 0, d: 0, t: 0 };
  /** Entries whose id was there before. */
  repeated = 0;
  /** Values that were named in `unchanged` and taken from an older version. */
  carried = 0;
  private readonly wrong: string[] = [];
  /** Values that nothing is known of yet: place of the row → what to say if that stays so. */
  private readonly missing = new Map<string, string>();

  get problems(): readonly string[] {
    return [...this.wrong, ...this.missing.values()];
  }

  get entries(): number {
    return this.counts.r + this.counts.c + this.counts.u + this.counts.d + this.counts.t;
  }

  add(entry: FoldEntry): void {
    if (this.ids.has(entry.id)) this.repeated++;
    this.ids.add(entry.id);
    const data = membersOf(entry.data);
    const op = JSON.parse(data.get('op') ?? 'null') as keyof Fold['counts'];
    if (!(op in this.counts)) {
      this.wrong.push(`${entry.id}: unknown op ${op}`);
      return;
    }
    this.counts[op]++;
    const table = this.table(entry.subject);
    if (op === 't') {
      for (const key of table.keys()) this.missing.delete(place(entry.subject, key));
      table.clear();
      this.deleted = null;
    } else if (op === 'd') {
      const row = table.get(entry.partitionkey);
      this.deleted = row ? { subject: entry.subject, row } : null;
      table.delete(entry.partitionkey);
      this.missing.delete(place(entry.subject, entry.partitionkey));
    } else {
      const moved = op === 'c' && this.deleted?.subject === entry.subject ? this.deleted.row : undefined;
      table.set(entry.partitionkey, this.version(entry, data, table.get(entry.partitionkey) ?? moved));
      this.deleted = null;
    }
  }

  /** Row texts by table. */
  rows(): Map<string, string[]> {
    return new Map([...this.tables].map(([subject, rows]) => [subject, [...rows.values()].map(objectOf)]));
  }

  /** @param before what its unchanged values are those of; `undefined`: it has not come */
  private version(entry: FoldEntry, data: Map<string, string>, before: Row | undefined): Row {
    const row = membersOf(data.get('after') ?? 'null');
    const unchanged = JSON.parse(data.get('unchanged') ?? '[]') as string[];
    const at = place(entry.subject, entry.partitionkey);
    if (unchanged.length === 0) {
      this.missing.delete(at);
      return row;
    }
    for (const column of unchanged) {
      const value = before?.get(column);
      if (value === undefined) this.missing.set(at, `${entry.id}: "${column}" is unchanged, and its row never came`);
      else row.set(column, value);
      this.carried++;
    }
    return row;
  }

  private table(subject: string): Map<string, Row> {
    const known = this.tables.get(subject);
    if (known) return known;
    const made = new Map<string, Row>();
    this.tables.set(subject, made);
    return made;
  }
}

const place = (subject: string, key: string): string => `${subject} ${key}`;

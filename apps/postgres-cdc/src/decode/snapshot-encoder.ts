import { ROW_EVENT_TYPES, type ChangeEvent } from '@planasonix/core';
import { EventEnd, JsonBuffer, piece, tabFrom, type Piece } from '@planasonix/json-buffer';
import { KeyTexts } from './key-texts.js';
import { lsnText } from './lsn.js';
import { prepareRelation, type Relation, type RelationInfo } from './relation.js';
import { Tuple, writeKey, writeRow } from './tuple.js';
import type { TypeCatalog } from './type-catalog.js';

const [TAB, BACKSLASH, LETTER_N] = [0x09, 0x5c, 0x4e];

export interface SnapshotEncoderOptions {
  readonly catalog: TypeCatalog;
  readonly relation: RelationInfo;
  readonly key: readonly string[];
  readonly excluded: ReadonlySet<string>;
  readonly database: string;
  /** `snap-<snapshot>-<attempt>-<table>-<chunk>-`: begins every id; the key, or the row's number, follows. */
  readonly idPrefix: string;
  /** What the snapshot saw: everything that was committed before this place. */
  readonly lsn: bigint;
  readonly takenAtMs: number;
}

/** Rows of `COPY … TO STDOUT` in text form, to `op:"r"` events, by the same writers that the stream uses. */
export class SnapshotEncoder {
  private readonly out = new JsonBuffer();
  private readonly relation: Relation;
  private readonly tuple = new Tuple();
  private readonly time: string;
  private readonly head: Piece;
  private readonly tail: Piece;
  private scratch = Buffer.allocUnsafe(64 * 1024);
  private searched: Buffer | null = null;
  private searchedFrom = 0;
  private backslash = 0;
  private rows = 0;
  private keyBytes = Buffer.allocUnsafe(64);
  private readonly keyEnds: number[] = [];
  private readonly end = new EventEnd();
  /** The end of the events of all rows that came at once. */
  private written = this.end.text();
  private readonly keys = new KeyTexts();
  /** Of rows that were not taken yet. */
  private data: Buffer[] = [];

  constructor(private readonly options: SnapshotEncoderOptions) {
    const { relation, key, excluded, database, catalog, takenAtMs } = options;
    const lsn = lsnText(options.lsn);
    this.relation = prepareRelation({ ...relation, replicaIdentity: 'f' }, key, excluded, database, catalog);
    this.time = new Date(takenAtMs).toISOString();
    this.head = piece(this.relation.heads.r, 'null,"after":');
    this.tail = piece(
      ',"unchanged":[]',
      this.relation.sourceHead,
      `true,"ts_ms":${takenAtMs},"lsn":"${lsn}","commit_lsn":"${lsn}","xid":null,"seq":`,
    );
  }

  /**
   * One row: bytes `start` to `end` of what the server sent, without the newline. They must not change while
   * rows of the same buffer are read.
   *
   * @returns bytes of its event's data; `take` gives the event.
   */
  row(bytes: Buffer, start: number, end: number): number {
    if (end <= this.plainUntil(bytes, start)) this.split(bytes, start, end);
    else this.unescape(bytes, start, end);
    this.keepKey();
    const { out, relation, tuple, keys } = this;
    writeKey(keys.out, relation, tuple, null);
    keys.end();
    out.begin();
    out.put(this.head);
    writeRow(out, relation, tuple, null, false);
    out.put(this.tail);
    out.integer(this.rows++);
    out.put(this.written);
    this.data.push(out.take());
    return out.written;
  }

  /** Events of the rows since it was last asked. */
  take(): ChangeEvent[] {
    const { data, time, relation, options } = this;
    const { idPrefix, takenAtMs: timeMs } = options;
    const keys = this.keys.take();
    const first = this.rows - data.length;
    this.data = [];
    return data.map((bytes, i) => {
      const key = keys[i]!;
      return {
        id: idPrefix + (key === '' ? String(first + i) : key),
        type: ROW_EVENT_TYPES.r,
        subject: relation.subject,
        time,
        timeMs,
        partitionkey: key,
        data: bytes,
        order: null,
      };
    });
  }

  /** Texts of the last row's key, as its columns' types write them. */
  lastKey(): string[] {
    let start = 0;
    return this.keyEnds.map((end) => {
      const text = this.keyBytes.toString('utf8', start, end);
      start = end;
      return text;
    });
  }

  /** The row's own bytes are the driver's: once it reads on they are others. */
  private keepKey(): void {
    const { relation, tuple, keyEnds } = this;
    let at = 0;
    for (let n = 0; n < relation.key.length; n++) {
      const start = tuple.starts[relation.key[n]!]!;
      const end = tuple.ends[relation.key[n]!]!;
      const needed = at + end - start;
      if (needed > this.keyBytes.length) {
        const larger = Buffer.allocUnsafe(needed * 2);
        this.keyBytes.copy(larger, 0, 0, at);
        this.keyBytes = larger;
      }
      const { keyBytes } = this;
      for (let i = start; i < end; i++) keyBytes[at++] = tuple.source[i]!;
      keyEnds[n] = at;
    }
  }

  /** Where the next backslash stands. Looked for once per piece of the copy and not per row: most hold none. */
  private plainUntil(bytes: Buffer, start: number): number {
    if (bytes !== this.searched || start < this.searchedFrom || start > this.backslash) {
      if (bytes !== this.searched) this.written = this.end.text();
      const found = bytes.indexOf(BACKSLASH, start);
      this.searched = bytes;
      this.searchedFrom = start;
      this.backslash = found < 0 ? bytes.length : found;
    }
    return this.backslash;
  }

  /** Lays out a row without escapes where it lies: fields are parted by tabs. */
  private split(bytes: Buffer, start: number, end: number): void {
    const { tuple } = this;
    const { starts, ends } = tuple;
    tuple.source = bytes;
    let field = 0;
    starts[0] = start;
    for (let i = tabFrom(bytes, start, end); i < end; i = tabFrom(bytes, i + 1, end)) {
      ends[field++] = i;
      starts[field] = i + 1;
    }
    ends[field++] = end;
    tuple.count = end === start && this.relation.columns.length === 0 ? 0 : field;
  }

  /** The same for one with escapes, into the scratch: `\N` is null, a backslash escapes. */
  private unescape(bytes: Buffer, start: number, end: number): void {
    const { tuple } = this;
    if (this.scratch.length < end - start) this.scratch = Buffer.allocUnsafe((end - start) * 2);
    const { scratch } = this;
    tuple.source = scratch;
    let field = 0;
    let at = 0;
    let from = 0;
    let isNull = false;
    for (let i = start; i <= end; i++) {
      const code = bytes[i]!;
      if (i === end || code === TAB) {
        tuple.starts[field] = isNull ? -1 : from;
        tuple.ends[field++] = at;
        from = at;
        isNull = false;
      } else if (code !== BACKSLASH) scratch[at++] = code;
      else {
        const escaped = bytes[++i]!;
        if (escaped === LETTER_N) isNull = true;
        else scratch[at++] = ESCAPES[escaped] ?? escaped;
      }
    }
    tuple.count = field;
  }
}

const ESCAPES: Readonly<Record<number, number>> = {
  0x62: 0x08,
  0x66: 0x0c,
  0x6e: 0x0a,
  0x72: 0x0d,
  0x74: 0x09,
  0x76: 0x0b,
};

import { crc32 } from 'node:zlib';
import { ROW_EVENT_TYPES, StreamError, type ChangeEvent, type RowOp } from '@planasonix/core';
import { EventEnd, JsonBuffer, piece } from '@planasonix/json-buffer';
import { uuidText } from '../gtid-set.js';
import { fileNumber } from '../position.js';
import type { Flavor } from '../server.js';
import { EVENT, type RowsKind } from './event-types.js';
import { Packed } from './packed.js';
import type { Relation } from './relation.js';
import { writeImage, type Image, type Present } from './row-image.js';
import { unsupported } from './unsupported.js';

/** Where a transaction stands in the log, and what is the same for all its events. */
export interface Transaction {
  /** Of its first event, in bytes. */
  readonly begin: number;
  /** Of its events so far, in order: another server's log has another one at this place. */
  print: number;
  readonly gtid: string | null;
  readonly timeMs: number;
  /** When its last statement with rows began, seconds since the Unix epoch; `null`: none has come. */
  statedAt: number | null;
  /** BEGIN was seen: it ends with COMMIT or XID, and statements within do not end it. */
  explicit: boolean;
  /** Of two phases: its rows may yet be taken back. */
  xa: boolean;
  /** What its statement says has not happened. */
  undone: boolean;
  /** A part of it was handed over before its end. */
  told: boolean;
  /** Events so far. */
  seq: number;
  /** Savepoint → events of it that were in the encoder then. */
  readonly savepoints: Map<string, number>;
}

/** One of which nothing but its first event has come. */
export const newTransaction = (begin: number, print: number, gtid: string | null, timeMs: number): Transaction => ({
  ...{ begin, print, gtid, timeMs, statedAt: null },
  ...{ explicit: false, xa: false, undone: false, told: false, seq: 0, savepoints: new Map() },
});

export interface EncoderOptions {
  readonly flavor: Flavor;
  /** Begins every id: names the log, so that ids of two servers differ. */
  readonly idPrefix: () => string;
  /** How often reading has begun from nothing or at another server: later beginnings come after earlier ones. */
  readonly attempt: number;
  /** Tells transactions from those of the same GTID before the log was reset. */
  readonly origin: number;
}

const fixed = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** Rows of the log to events, in one pass from the wire to JSON text. */
export class RowEncoder {
  /** Events since the caller last took them. */
  events: ChangeEvent[] = [];
  /** Bytes of their data. */
  bytes = 0;

  private readonly out = new JsonBuffer();
  private readonly end = new EventEnd();
  private readonly image: Image = { end: 0, key: '' };
  /** Of the event that is being read: what its images hold, of an update the one before and the one after. */
  private first: Present = null;
  private second: Present = null;
  private transaction: Transaction | null = null;
  private time = '';
  private idHead = '';
  private orderHead = '';
  private placeTail = piece();

  constructor(private readonly options: EncoderOptions) {}

  take(): ChangeEvent[] {
    const { events } = this;
    this.events = [];
    this.bytes = 0;
    return events;
  }

  /** Takes back all but the first events. */
  drop(kept: number): void {
    this.events.length = kept;
    this.bytes = this.events.reduce((sum, { data }) => sum + data.length, 0);
  }

  /**
   * A transaction goes back to one of its savepoints: servers log that where its rows were cached beside tables without
   * transactions, whose own rows stand in transactions of their own.
   * @param to `null`: the log does not name one that is known. @param committed events that are not its own. @throws StreamError where what is taken back is not known, or was told
   */
  takeBack({ seq, told, savepoints }: Transaction, to: string | null, committed: number): void {
    if (seq === 0) return;
    const kept = to === null ? undefined : savepoints.get(to);
    if (told || kept === undefined) throw unsupported('a transaction that was rolled back in part');
    this.drop(committed + kept);
  }

  /** Before the first event of a transaction. */
  begin(transaction: Transaction, file: string, serverId: number): void {
    const { begin, gtid, timeMs } = transaction;
    this.transaction = transaction;
    this.time = new Date(timeMs).toISOString();
    const { flavor, attempt, origin, idPrefix } = this.options;
    // Invariant 4: a GTID is the same on every server that has the transaction.
    this.idHead = gtid === null ? `${idPrefix()}-${file}-${begin}/` : `${flavor}-${origin}-${gtid}/`;
    this.orderHead = `${fixed(attempt, 4)}-${fixed(fileNumber(file), 8)}-${fixed(begin, 12)}-`;
    this.placeTail = piece(
      `false,"ts_ms":${timeMs},"gtid":${JSON.stringify(gtid)},"server_id":${serverId},"file":${JSON.stringify(file)},"pos":`,
    );
  }

  /**
   * @param body of a rows event, from its table on
   * @param pos where the event stands in its file
   * @throws StreamError `event_unsupported`, `row_image_unsupported`
   */
  rows(relation: Relation, kind: RowsKind, source: Buffer, from: number, pos: number): void {
    try {
      this.read(relation, kind, source, from, pos);
    } catch (error) {
      if (error instanceof StreamError) throw error;
      throw new StreamError(
        'event_unsupported',
        `A row of ${relation.subject} can't be read: ${(error as Error).message}.`,
      );
    }
  }

  private read(relation: Relation, kind: RowsKind, source: Buffer, from: number, pos: number): void {
    const columns = relation.readers.length;
    const packed = new Packed(source, from);
    const width = packed.length();
    if (width !== columns)
      throw new StreamError(
        'event_unsupported',
        `Rows of ${relation.subject} have ${width} columns and not ${columns}.`,
      );
    const there = (): Present => present(relation, packed.slice((columns + 7) >> 3), columns);
    this.first = there();
    this.second = kind.change === 'update' ? there() : null;
    let at = packed.at;
    for (let row = 0; at < source.length; row++)
      at =
        kind.change === 'update'
          ? this.update(relation, source, at, pos, row)
          : this.single(relation, kind.change, source, at, pos, row);
    if (at !== source.length)
      throw new StreamError('event_unsupported', `Rows of ${relation.subject} end elsewhere than their event does.`);
  }

  /** All rows of a table are gone. */
  emptied(relation: Pick<Relation, 'heads' | 'sourceHead' | 'subject'>, pos: number): void {
    const { out } = this;
    out.begin();
    out.put(relation.heads.t);
    out.ascii('null,"after":null');
    this.finish(relation, 't', '', pos, 0);
  }

  private single(
    relation: Relation,
    change: 'write' | 'delete',
    source: Buffer,
    at: number,
    pos: number,
    row: number,
    there = this.first,
  ): number {
    const { out, image } = this;
    const op = change === 'write' ? 'c' : 'd';
    out.begin();
    out.put(relation.heads[op]);
    if (op === 'c') out.ascii('null,"after":');
    writeImage(out, relation, source, at, image, there);
    if (op === 'd') out.ascii(',"after":null');
    this.finish(relation, op, image.key, pos, row);
    return image.end;
  }

  /** A changed key is a delete of the old one and an insert of the new one. */
  private update(relation: Relation, source: Buffer, at: number, pos: number, row: number): number {
    const { out, image } = this;
    out.begin();
    out.put(relation.heads.u);
    writeImage(out, relation, source, at, image, this.first);
    const [middle, key] = [image.end, image.key];
    out.ascii(',"after":');
    writeImage(out, relation, source, middle, image, this.second);
    const { end } = image;
    if (image.key === key) {
      this.finish(relation, 'u', key, pos, row);
      return end;
    }
    out.rewind(0);
    this.single(relation, 'delete', source, at, pos, row);
    this.single(relation, 'write', source, middle, pos, row, this.second);
    return end;
  }

  private finish(
    relation: Pick<Relation, 'sourceHead' | 'subject'>,
    op: RowOp,
    key: string,
    pos: number,
    row: number,
  ): void {
    const { out, transaction } = this;
    if (transaction === null) throw new StreamError('event_unsupported', 'Rows came outside of a transaction.');
    const seq = fixed(transaction.seq, 8);
    out.put(relation.sourceHead);
    out.put(this.placeTail);
    out.ascii(`${pos},"row":${row},"seq":${transaction.seq}`);
    out.put(this.end.text());
    const data = out.take();
    this.events.push({
      id: this.idHead + String(transaction.seq),
      type: ROW_EVENT_TYPES[op],
      subject: relation.subject,
      time: this.time,
      timeMs: transaction.timeMs,
      partitionkey: key,
      data,
      order: this.orderHead + seq,
    });
    transaction.seq += 1;
    this.bytes += data.length;
  }
}

/** Only columns that nobody sees may be left out: MariaDB 11.8 leaves out what it works out itself, of updates and deletes. */
function present({ subject, hidden, bareLabels }: Relation, bits: Buffer, columns: number): Present {
  const isThere = (i: number): boolean => ((bits[i >> 3]! >> (i & 7)) & 1) === 1;
  let n = 0;
  while (n < columns && isThere(n)) n++;
  if (n === columns) return null;
  const all = Array.from({ length: columns }, (_, i) => i);
  const missed = all.filter((i) => !isThere(i) && !hidden[i]).map((i) => bareLabels[i]!.toString().slice(1, -2));
  if (missed.length > 0)
    throw new StreamError('row_image_unsupported', `The log has rows of ${subject} without ${missed.join(', ')}.`, {
      hint: 'SET GLOBAL binlog_row_image = FULL; columns that the server generates itself, and leaves out all the same, can be named in exclude_columns.',
    });
  return all.filter(isThere);
}

/** Takes an event into the print of its transaction; lengths and places in its head depend on how it was sent. */
export const printOf = (print: number, event: Buffer): number =>
  crc32(event.subarray(19), crc32(event.subarray(0, 9), print));

/** `3e11fa47-71ca-11e1-9e33-c80aa9429562:23`, and when it was committed; MySQL. @param body of a GTID event */
export function mysqlGtid(
  body: Buffer,
  type: number,
): { readonly gtid: string | null; readonly committedMs: number | null } {
  if (type === EVENT.GTID_TAGGED || body.length < 25) return { gtid: null, committedMs: null };
  const gtid = type === EVENT.GTID ? `${uuidText(body, 1)}:${body.readBigInt64LE(17)}` : null;
  // Behind two numbers of the logical clock: microseconds in 55 bits.
  if (body.length < 49 || body[25] !== 2) return { gtid, committedMs: null };
  const micros = (body[48]! & 0x7f) * 2 ** 48 + body.readUIntLE(42, 6);
  return { gtid, committedMs: Math.floor(micros / 1000) };
}

/** `0-1-42` and what it says of its transaction. @param body of a GTID event of MariaDB */
export function mariaGtid(body: Buffer, serverId: number): MariaGtid {
  const flags = body[12]!;
  const isGrouped = (flags & 2) !== 0;
  const isXa = (flags & (64 | 128)) !== 0;
  const at = 13 + (isGrouped ? 8 : 0);
  // Of a transaction of two phases its name stands between.
  const more = body[isXa ? at + 6 + body[at + 4]! + body[at + 5]! : at] ?? 0;
  return {
    gtid: `${body.readUInt32LE(8)}-${serverId}-${body.readBigUInt64LE(0)}`,
    standalone: (flags & 1) !== 0,
    xa: (flags & 64) !== 0,
    undone: (more & (ALTER_BEGUN | ALTER_TAKEN_BACK)) !== 0,
  };
}

/** With `binlog_alter_two_phase` an ALTER TABLE stands in the log when it begins, and again when it has come about or failed. */
const ALTER_BEGUN = 2;
const ALTER_TAKEN_BACK = 8;

interface MariaGtid {
  readonly gtid: string;
  readonly standalone: boolean;
  readonly xa: boolean;
  /** See `Transaction`. */
  readonly undone: boolean;
}

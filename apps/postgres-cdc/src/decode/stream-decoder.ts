import { ROW_EVENT_TYPES, StreamError, type ChangeEvent, type RowOp } from '@planasonix/core';
import { EventEnd, JsonBuffer, piece } from '@planasonix/json-buffer';
import { lsnKey, lsnText } from './lsn.js';
import { FieldsChanged } from './nested-writers.js';
import { parseRelation, prepareRelation, type GateSlot, type Relation, type RelationInfo } from './relation.js';
import { Tuple, keyText, writeRow, writeUnchanged } from './tuple.js';
import type { TypeCatalog } from './type-catalog.js';

/** Microseconds from the Unix epoch to Postgres' (2000-01-01). */
const POSTGRES_EPOCH_US = 946_684_800_000_000n;

export interface DecoderOptions {
  readonly catalog: TypeCatalog;
  /** Key columns in key order, as the catalog has them now. */
  keyOf(relation: RelationInfo): readonly string[];
  excludedOf(relation: RelationInfo): ReadonlySet<string>;
  /** Where somebody may stand who looks at the table's changes; absent: nowhere. */
  slotOf?(relation: RelationInfo): GateSlot;
  /** Told of each table that is emptied, and by which transaction; absent: nobody asks. */
  emptied?(relation: RelationInfo, xid: number): void;
  readonly database: string;
  /** Begins every event id; names the server, so that ids of two servers differ. */
  readonly idPrefix: string;
}

/**
 * What a message was. `relation`: the caller has to make sure of its types and key, then call `adopt`. `outdated`: a
 * type of the table has changed; the same, then `feedAgain` the message, of which nothing was taken.
 */
export type Fed = 'begin' | 'change' | 'commit' | 'relation' | 'outdated' | 'message' | 'other';

/**
 * pgoutput, protocol 1, from the wire to events, in one pass. Positions: an event's `order` is the LSN of its commit and
 * its ordinal in the transaction; row LSNs repeat and go backwards, only commits are ordered (trap 4).
 */
export class StreamDecoder {
  /** Events since the caller last took them. */
  events: ChangeEvent[] = [];
  /** Bytes of their data. */
  bytes = 0;
  inTransaction = false;
  /** LSN of the commit record and the end of it, once `commit` was fed. */
  commitLsn = 0n;
  endLsn = 0n;
  /** Commit time of the transaction that began last, ms. */
  commitMs = 0;
  /** The relation of a `relation` message, to be adopted. */
  pending: RelationInfo | null = null;
  /** Of the last `message`: its prefix. */
  prefix = '';

  private readonly out = new JsonBuffer();
  private readonly relations = new Map<number, Relation>();
  private readonly tuple = new Tuple();
  private readonly old = new Tuple();
  private time = '';
  private orderPrefix = '';
  private xid = 0;
  private seq = 0;
  private orderHead = '';
  private orderPage = -1;
  private transactionTail = piece();
  private readonly end = new EventEnd();

  constructor(private readonly options: DecoderOptions) {}

  /** @param message the body of an XLogData message. @param lsn where it stands in the WAL, as two 32-bit halves. */
  feed(message: Buffer, lsnHigh: number, lsnLow: number): Fed {
    const { seq, bytes } = this;
    const { length } = this.events;
    try {
      return this.read(message, lsnHigh, lsnLow);
    } catch (error) {
      if (!(error instanceof FieldsChanged)) throw error;
      this.seq = seq;
      this.bytes = bytes;
      this.events.length = length;
      this.pending = this.relation(message);
      return 'outdated';
    }
  }

  /** After `outdated`. */
  feedAgain(message: Buffer, lsnHigh: number, lsnLow: number): Fed {
    return this.options.catalog.leniently(() => this.feed(message, lsnHigh, lsnLow));
  }

  private read(message: Buffer, lsnHigh: number, lsnLow: number): Fed {
    switch (message[0]) {
      case 0x49: // I
        this.insert(message, lsnHigh, lsnLow);
        return 'change';
      case 0x55: // U
        this.update(message, lsnHigh, lsnLow);
        return 'change';
      case 0x44: // D
        this.remove(message, lsnHigh, lsnLow);
        return 'change';
      case 0x42: // B
        this.begin(message);
        return 'begin';
      case 0x43: // C
        this.commitLsn = message.readBigUInt64BE(2);
        this.endLsn = message.readBigUInt64BE(10);
        this.inTransaction = false;
        return 'commit';
      case 0x52: // R
        this.pending = parseRelation(message);
        return 'relation';
      case 0x54: // T
        this.truncate(message, lsnHigh, lsnLow);
        return 'change';
      case 0x4d: // M
        this.prefix = message.toString('utf8', 10, message.indexOf(0, 10));
        return 'message';
      case 0x4f: // O
      case 0x59: // Y
        return 'other';
      default:
        throw new StreamError(
          'event_unsupported',
          `The server sent a message of kind ${String.fromCharCode(message[0] ?? 63)} that is not known.`,
        );
    }
  }

  /** Takes up the relation of the last `relation` message; its types are in the catalog by now. */
  adopt(): void {
    const info = this.pending;
    if (info === null) return;
    const { catalog, database } = this.options;
    this.relations.set(
      info.oid,
      prepareRelation(
        info,
        this.options.keyOf(info),
        this.options.excludedOf(info),
        database,
        catalog,
        this.options.slotOf?.(info),
      ),
    );
    this.pending = null;
  }

  /** What the caller takes away. */
  take(): ChangeEvent[] {
    const { events } = this;
    this.events = [];
    this.bytes = 0;
    return events;
  }

  private begin(message: Buffer): void {
    this.commitLsn = message.readBigUInt64BE(1);
    const us = message.readBigInt64BE(9) + POSTGRES_EPOCH_US;
    this.commitMs = Number(us / 1000n);
    this.xid = message.readUInt32BE(17);
    this.time = `${new Date(this.commitMs).toISOString().slice(0, 19)}.${String(us % 1_000_000n).padStart(6, '0')}Z`;
    this.orderPrefix = `${lsnKey(this.commitLsn)}-`;
    this.orderPage = -1;
    this.seq = 0;
    this.inTransaction = true;
    this.transactionTail = piece(
      `false,"ts_ms":${this.commitMs},"commit_lsn":"${lsnText(this.commitLsn)}","xid":${this.xid},"lsn":"`,
    );
  }

  /** The commit's LSN and the ordinal, eight digits: as texts they are ordered as the changes are. */
  private orderOf(seq: number): string {
    const page = Math.floor(seq / ORDINALS.length);
    if (page !== this.orderPage) {
      this.orderPage = page;
      this.orderHead = this.orderPrefix + page.toString(16).padStart(5, '0');
    }
    return this.orderHead + ORDINALS[seq % ORDINALS.length]!;
  }

  private relation(message: Buffer): Relation {
    const oid = message.readUInt32BE(1);
    const relation = this.relations.get(oid);
    if (relation === undefined)
      throw new StreamError('event_unsupported', `The server sent a row of a table (${oid}) that it did not describe.`);
    return relation;
  }

  private insert(message: Buffer, high: number, low: number): void {
    const relation = this.relation(message);
    this.tuple.read(message, 6);
    this.write(relation, 'c', this.tuple, null, null, high, low);
  }

  private update(message: Buffer, high: number, low: number): void {
    const relation = this.relation(message);
    let at = 5;
    const kind = message[at];
    const hasOld = kind === 0x4b || kind === 0x4f; // K, O
    if (hasOld) at = this.old.read(message, at + 1);
    // Sent where the key has changed, and where a value of it is stored out of line.
    if (kind === 0x4b) this.old.keepOnly(relation);
    this.tuple.read(message, at + 1);
    const old = hasOld ? this.old : null;
    if (old !== null && relation.key.some((i) => !old.same(i, this.tuple))) {
      // A changed key is a delete of the old one and an insert of the new one.
      this.write(relation, 'd', old, null, null, high, low, kind === 0x4b);
      this.write(relation, 'c', this.tuple, old, null, high, low, false, true);
    } else this.write(relation, 'u', this.tuple, old, kind === 0x4f ? old : null, high, low);
  }

  private remove(message: Buffer, high: number, low: number): void {
    const relation = this.relation(message);
    this.tuple.read(message, 6);
    this.write(relation, 'd', this.tuple, null, null, high, low, message[5] === 0x4b);
  }

  private truncate(message: Buffer, high: number, low: number): void {
    const count = message.readUInt32BE(1);
    for (let i = 0; i < count; i++) {
      const relation = this.relations.get(message.readUInt32BE(6 + i * 4));
      if (relation === undefined) continue;
      this.options.emptied?.(relation, this.xid);
      this.write(relation, 't', null, null, null, high, low);
    }
  }

  /**
   * @param older the tuple from before, for values that were not sent again.
   * @param before what is written as `before` of an update: the whole old row, where the server sent it.
   */
  private write(
    relation: Relation,
    op: RowOp,
    tuple: Tuple | null,
    older: Tuple | null,
    before: Tuple | null,
    high: number,
    low: number,
    keyOnly = false,
    moved = false,
  ): void {
    const { out } = this;
    // Counted also where it is left out: the same change has the same id, whatever else comes with it.
    const seq = this.seq++;
    const { gate } = relation.slot;
    if (gate !== null && !gate.admits(this.xid, this.commitLsn)) return;
    out.begin();
    const key = tuple === null ? '' : keyText(out, relation, tuple, older);
    out.put(relation.heads[op]);
    if (op === 'd') {
      writeRow(out, relation, tuple!, null, keyOnly);
      out.put(AFTER_NULL);
    } else if (tuple === null) out.put(NOTHING);
    else {
      if (before === null) out.put(NO_BEFORE);
      else {
        writeRow(out, relation, before, null, false);
        out.put(AFTER);
      }
      writeRow(out, relation, tuple, older, false);
      out.put(UNCHANGED);
      writeUnchanged(out, relation, tuple, older);
    }
    out.put(relation.sourceHead);
    out.put(this.transactionTail);
    out.hex(high);
    out.byte(SLASH);
    out.hex(low);
    out.put(SEQ);
    out.integer(seq);
    out.put(this.end.text());
    const data = out.take();
    if (gate !== null) {
      const { xid, commitLsn } = this;
      const hole = op === 'd' || op === 't' ? null : holeOf(relation, tuple!, older);
      gate.wrote({ subject: relation.subject, op, xid, commitLsn, key, moved, hole, by: relation.keyColumns });
    }
    const order = this.orderOf(seq);
    this.bytes += data.length;
    this.events.push({
      id: this.options.idPrefix + order,
      type: ROW_EVENT_TYPES[op],
      subject: relation.subject,
      time: this.time,
      timeMs: this.commitMs,
      partitionkey: key,
      data,
      order,
    });
  }
}

/** The last digits of an ordinal. */
const ORDINALS = Array.from({ length: 4096 }, (_, n) => n.toString(16).padStart(3, '0'));

/** Texts of the key where values of the row were not sent and nobody else has said them. */
function holeOf(relation: Relation, tuple: Tuple, older: Tuple | null): readonly string[] | null {
  for (let i = 0; i < tuple.count; i++)
    if (tuple.isUnchanged(i) && relation.hidden[i] !== true && (older === null || older.isUnchanged(i)))
      return relation.key.map((column) => (tuple.isUnchanged(column) && older !== null ? older : tuple).text(column));
  return null;
}

const SLASH = 0x2f;
const SEQ = piece('","seq":');
const NO_BEFORE = piece('null,"after":');
const AFTER = piece(',"after":');
const AFTER_NULL = piece(',"after":null,"unchanged":[]');
const NOTHING = piece('null,"after":null,"unchanged":[]');
const UNCHANGED = piece(',"unchanged":');

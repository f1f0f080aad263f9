import { crc32 } from 'node:zlib';
import { StreamError, type ChangeEvent } from '@planasonix/core';
import { EVENT, HEADER_BYTES, IGNORABLE, LOADING, ROWS, SILENT, type RowsKind } from './decode/event-types.js';
import { inflated } from './decode/inflate.js';
import { payloadEvents } from './decode/payload.js';
import { mariaGtid, mysqlGtid, newTransaction, printOf, RowEncoder, type Transaction } from './decode/row-encoder.js';
import { readStatement } from './decode/statement-event.js';
import type { Verdict } from './decode/statement.js';
import { foreign, unsupported } from './decode/unsupported.js';
import { gtidList, previousGtids } from './gtid-set.js';
import { LogCursor } from './log-cursor.js';
import type { MySqlPosition } from './position.js';
import { ReadGtids } from './read-gtids.js';
import type { Flavor, LogPlace } from './server.js';
import { effectsOfAny, statementFormat } from './statement-effects.js';
import { verdictsOf } from './statement-verdicts.js';
import type { TableBook } from './table-book.js';
import type { Asks } from './tables.js';

export interface LogDecoderDeps {
  readonly flavor: Flavor;
  readonly attempt: number;
  readonly origin: number;
  readonly book: TableBook;
  readonly asks: Asks;
  /** Names of tables do not tell upper from lower case. */
  readonly foldsCase: boolean;
}

/** An event as `LogCursor` takes it apart. */
type Framed = Pick<LogCursor, 'type' | 'flags' | 'whole' | 'body' | 'begin'>;

/** A place between two transactions. */
type Place = Pick<MySqlPosition, 'file' | 'pos' | 'gtid' | 'at' | 'proof' | 'head'>;
type Beginning = Place & Pick<MySqlPosition, 'gtids'>;

/**
 * The log, event by event, to changes and the places between transactions. Before the first change it proves that this is
 * the log that was read before: the last transaction is read again, and has to be the same (trap 20a).
 */
export class LogDecoder {
  readonly encoder: RowEncoder;
  /** End of the last whole transaction. */
  place: Place;
  /** Events in the encoder that belong to whole transactions. */
  committed = 0;
  /** Whether `place` has moved since the caller last looked. */
  moved = false;
  private readonly cursor: LogCursor;
  private head: string | null = null;
  private transaction: Transaction | null = null;
  private serverId = 0;
  /** What is left of a compressed transaction. */
  private packed: Iterator<Buffer | null> | null = null;
  /** What was committed up to `place`. */
  private readonly known: ReadGtids;
  /** What is still to be proved. */
  private proving: MySqlPosition['proof'];
  private readonly provenPos: number;

  constructor(
    private readonly deps: LogDecoderDeps,
    from: Beginning,
    /** Whether events end in a checksum; a file's head says it of those that follow. */
    checksums: boolean,
  ) {
    this.place = from;
    this.cursor = new LogCursor({ file: from.file, pos: from.proof?.begin ?? from.pos }, checksums);
    this.proving = from.proof;
    this.provenPos = from.pos;
    const { flavor, attempt, origin } = deps;
    this.known = new ReadGtids(flavor, from.gtids);
    this.encoder = new RowEncoder({
      ...{ flavor, attempt, origin },
      idPrefix: () => `${flavor}-${crc32(this.head ?? '').toString(16)}`,
    });
  }

  /** A transaction has begun and not ended yet. */
  get inside(): boolean {
    return this.transaction !== null;
  }

  /** It has, and a part of it is the caller's. */
  get torn(): boolean {
    return this.transaction?.told === true;
  }

  /** The log is the one that was read before. */
  get proven(): boolean {
    return this.proving === null;
  }

  /** Everything before it was read: where the transaction begins that is being read, or the end of what was. */
  get between(): LogPlace {
    const { file, pos } = this.cursor;
    return { file, pos: this.transaction?.begin ?? pos };
  }

  /** That of the transaction that is being read; `null`: it has none. */
  get gtid(): string | null {
    return this.transaction?.gtid ?? null;
  }

  /** When the transaction that is being read, or was read last, was committed. */
  get timeMs(): number | null {
    return this.transaction?.timeMs ?? null;
  }

  /** End of what was read. */
  get read(): LogPlace {
    return this.cursor;
  }

  /** Every transaction up to `place`, as a position has it. */
  get gtids(): string | null {
    return this.known.text;
  }

  /** A part of the transaction that is under way is the caller's now. */
  takeOpen(): ChangeEvent[] {
    if (this.transaction !== null) this.transaction.told = true;
    return this.encoder.take();
  }

  /** Whole transactions are the caller's now. */
  takeCommitted(): ChangeEvent[] {
    const all = this.encoder.take();
    const rest = all.splice(this.committed);
    this.encoder.events = rest;
    this.encoder.bytes = rest.reduce((sum, { data }) => sum + data.length, 0);
    this.committed = 0;
    this.moved = false;
    return all;
  }

  /**
   * @param event with its head, as it came
   * @returns what has to be waited for before the next one, or `null`
   */
  feed(event: Buffer): Promise<void> | null {
    const { cursor } = this;
    cursor.read(event);
    if (cursor.type === EVENT.ROTATE) return this.rotated();
    if (cursor.type === EVENT.FORMAT) return this.format();
    if (cursor.made) return null;
    this.serverId = event.readUInt32LE(5);
    if (this.transaction !== null) this.transaction.print = printOf(this.transaction.print, cursor.whole);
    return this.event(cursor);
  }

  /** Whether events of a compressed transaction are still to be read, by `feedPacked`, before the next one. */
  get more(): boolean {
    return this.packed !== null;
  }

  /** The next event of a compressed transaction; like `feed`. All of them stand where the transaction stands in the log. */
  feedPacked(): Promise<void> | null {
    const next = this.packed?.next();
    if (next === undefined || next.done === true) {
      this.packed = null;
      if (this.transaction !== null) throw unsupported('a compressed transaction without its end');
      return null;
    }
    const whole = next.value;
    if (whole === null) return null;
    const { begin } = this.cursor;
    const body = whole.subarray(HEADER_BYTES);
    return this.event({ type: whole[4]!, flags: whole.readUInt16LE(17), whole, body, begin });
  }

  private event({ type, flags, whole, body, begin }: Framed): Promise<void> | null {
    const seconds = whole.readUInt32LE(0);
    const rows = ROWS.get(type);
    if (rows !== undefined) {
      this.rows(rows, body, begin);
      return null;
    }
    switch (type) {
      case EVENT.TABLE_MAP:
        if (this.transaction !== null) this.transaction.statedAt = seconds;
        return this.proving === null ? this.deps.book.mapped(body) : null;
      case EVENT.GTID:
      case EVENT.ANONYMOUS_GTID:
      case EVENT.GTID_TAGGED: {
        const { gtid, committedMs } = mysqlGtid(body, type);
        this.begin(whole, begin, gtid, committedMs ?? seconds * 1000);
        return null;
      }
      case EVENT.MARIADB_GTID: {
        const { gtid, standalone, xa, undone } = mariaGtid(body, this.serverId);
        const transaction = this.begin(whole, begin, gtid, seconds * 1000);
        transaction.explicit = !standalone;
        [transaction.xa, transaction.undone] = [xa, undone];
        return null;
      }
      // A file begins with all that was committed before it.
      case EVENT.PREVIOUS_GTIDS:
        this.known.fileBegins(previousGtids(body));
        return null;
      case EVENT.MARIADB_GTID_LIST:
        this.known.fileBegins(gtidList(body));
        return null;
      case EVENT.QUERY:
      case EVENT.QUERY_COMPRESSED:
        return this.statement(body, type === EVENT.QUERY_COMPRESSED, begin);
      case EVENT.XID:
      case EVENT.XA_PREPARE:
        this.commit();
        return null;
      case EVENT.PARTIAL_UPDATE_ROWS:
        throw unsupported('a partial update of JSON', 'SET GLOBAL binlog_row_value_options = "" at the source.');
      case EVENT.TRANSACTION_PAYLOAD:
        if (this.packed !== null) throw unsupported('a compressed transaction within another');
        // It is the rest of its transaction, and its print covers it as it is.
        if (this.proving !== null) this.commit();
        else this.packed = payloadEvents(body);
        return null;
      case EVENT.INCIDENT:
        throw unsupported('an incident: the server itself says that changes are missing');
      default:
        if (LOADING.has(type)) throw statementFormat('LOAD DATA');
        if (!SILENT.has(type) && (flags & IGNORABLE) === 0) throw unsupported(`an event of type ${type}`);
        return null;
    }
  }

  /** A file begins where no transaction is under way: the old one may be thrown away from here on. */
  private rotated(): null {
    const next = this.cursor.rotation();
    if (next === null) return null;
    this.abandon();
    if (this.proving !== null) throw foreign(this.place.file, this.provenPos);
    this.cursor.enter(next);
    this.head = null;
    this.deps.book.forgetIds();
    return null;
  }

  /** A server that crashed while it wrote a transaction rolls it back when it comes back, and begins a new file. */
  private abandon(): void {
    if (this.transaction === null) return;
    if (this.transaction.told) throw unsupported('half of a transaction, whose changes were told already');
    this.transaction = null;
    this.encoder.drop(this.committed);
  }

  private format(): null {
    const { whole, body, file, pos } = this.cursor;
    const version = body.toString('latin1', 2, 52).replace(/\0.*$/s, '');
    this.head = `${whole.readUInt32LE(0)}-${whole.readUInt32LE(5)}-${version}`;
    const began = file === this.place.file;
    if (began && this.place.head !== null && this.head !== this.place.head)
      throw foreign(this.place.file, this.provenPos);
    // The last transaction stays what it was; its events are in another file.
    if (!began) this.moveTo({ ...this.place, file, pos, proof: null, head: this.head });
    else if (this.place.head === null) this.moveTo({ ...this.place, head: this.head });
    return null;
  }

  private begin(event: Buffer, begin: number, gtid: string | null, timeMs: number): Transaction {
    if (this.transaction !== null) throw unsupported('a transaction within another');
    this.transaction = newTransaction(begin, printOf(0, event), gtid, timeMs);
    this.encoder.begin(this.transaction, this.cursor.file, this.serverId);
    return this.transaction;
  }

  private rows(kind: RowsKind, body: Buffer, begin: number): void {
    if (this.proving !== null) return;
    const id = body.readUIntLE(0, 6);
    // Says only that the tables of a statement are done with.
    if (id === 0xffffff) return;
    const relation = this.deps.book.relation(id);
    if (relation === null) return;
    if (this.transaction === null) throw unsupported('rows outside of a transaction');
    if (this.transaction.xa)
      throw new StreamError('xa_unsupported', `A transaction of two phases (XA) wrote to ${relation.subject}.`);
    const from = kind.version === 2 ? 8 + body.readUInt16LE(8) : 8;
    const source = kind.compressed ? inflated(body, from, relation.readers.length, kind) : body;
    this.encoder.rows(relation, kind, source, from, begin);
  }

  private statement(body: Buffer, compressed: boolean, begin: number): Promise<void> | null {
    const verdicts = verdictsOf(readStatement(body, compressed), this.deps.flavor, this.deps.book);
    if (!(verdicts instanceof Promise)) return this.judged(verdicts, begin);
    return verdicts.then((known) => this.judged(known, begin) ?? undefined);
  }

  /** @param verdicts which all say the same of a transaction's bounds */
  private judged(verdicts: readonly Verdict[], begin: number): Promise<void> | null {
    const [verdict, { transaction }] = [verdicts[0]!, this];
    switch (verdict.kind) {
      case 'begin':
        if (transaction !== null) transaction.explicit = true;
        return null;
      case 'xa_begin':
        if (transaction !== null) [transaction.explicit, transaction.xa] = [true, true];
        return null;
      case 'commit':
        this.commit();
        return null;
      case 'savepoint':
        transaction?.savepoints.set(verdict.name, this.encoder.events.length - this.committed);
        return null;
      case 'rollback':
      case 'rollback_to':
        if (transaction !== null)
          this.encoder.takeBack(transaction, 'name' in verdict ? verdict.name : null, this.committed);
        if (verdict.kind === 'rollback') this.commit();
        return null;
      default:
        break;
    }
    const counts = this.proving === null && transaction?.undone !== true;
    const wait = counts ? effectsOfAny(verdicts, { ...this.deps, encoder: this.encoder }, begin) : null;
    const done = (): void => {
      if (transaction?.explicit !== true) this.commit();
    };
    if (wait !== null) return wait.then(done);
    done();
    return null;
  }

  private commit(): void {
    const { transaction } = this;
    if (transaction === null) return;
    this.transaction = null;
    const { begin, print, gtid, timeMs, statedAt } = transaction;
    const { file, pos } = this.cursor;
    if (this.proving !== null) {
      if (pos !== this.provenPos || begin !== this.proving.begin || print !== this.proving.print)
        throw foreign(this.place.file, this.provenPos);
      this.proving = null;
      // A position may not know it yet.
      if (this.place.at === null) this.moveTo({ ...this.place, at: statedAt ?? Math.floor(timeMs / 1000) });
      return;
    }
    this.known.add(gtid);
    const at = statedAt ?? Math.floor(timeMs / 1000);
    this.moveTo({ file, pos, gtid, at, proof: { begin, print }, head: this.head });
  }

  private moveTo(place: Place): void {
    this.place = place;
    this.committed = this.encoder.events.length;
    this.moved = true;
  }
}

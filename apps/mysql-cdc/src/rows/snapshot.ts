import type { ChangeBatch, ChangeEvent, Clock, SnapshotProgress, Steps } from '@planasonix/core';
import { ROW_EVENT_TYPES } from '@planasonix/core';
import { EventEnd, JsonBuffer } from '@planasonix/json-buffer';
import { relationFrame } from '../decode/relation.js';
import { keyText } from '../decode/row-image.js';
import { qualified } from '../identifier.js';
import type { MySqlPosition } from '../position.js';
import type { Server } from '../server.js';
import type { Session } from '../session.js';
import type { SourceTable } from '../tables.js';
import { shownColumn } from './shown-values.js';

/** What goes out at once at the most. */
const EVENTS = 1000;
const BYTES = 1024 * 1024;
const NULL = Buffer.from('null');

export interface SnapshotDeps {
  /** In a transaction that sees the tables as they were at `place`. */
  readonly session: Session;
  readonly server: Server;
  readonly tables: readonly SourceTable[];
  excludedOf(schema: string, table: string): ReadonlySet<string>;
  readonly place: Pick<MySqlPosition, 'file' | 'pos' | 'attempt'>;
  readonly clock: Clock;
  readonly step?: Steps;
}

/** Rows of all tables as they were at one place of the log, table after table. */
export class Snapshot {
  private readonly out = new JsonBuffer();
  private readonly end = new EventEnd();
  private tablesDone = 0;
  private rowsDone = 0;

  constructor(private readonly deps: SnapshotDeps) {}

  get progress(): SnapshotProgress {
    const { tables } = this.deps;
    const estimates = tables.map(({ estimatedRows }) => estimatedRows);
    return {
      state: this.tablesDone === tables.length ? 'done' : 'running',
      ...{ tables_total: tables.length, tables_done: this.tablesDone, rows_done: this.rowsDone },
      rows_estimated: estimates.some((one) => one === null)
        ? null
        : estimates.reduce<number>((sum, one) => sum + (one ?? 0), 0),
    };
  }

  /** Without positions: they are a part of something that is whole when its end is told. */
  async *batches(signal: AbortSignal): AsyncGenerator<ChangeBatch> {
    for (const table of this.deps.tables) {
      for await (const events of this.rowsOf(table, signal)) {
        if (signal.aborted) return;
        this.rowsDone += events.length;
        yield { partition: '', events, position: null };
        this.deps.step?.('snapshot-chunk');
      }
      this.tablesDone += 1;
    }
  }

  /** Whoever folds the log by key forgets what he has of the tables; their rows follow. */
  emptied(): ChangeEvent[] {
    return this.deps.tables.map((table) => {
      const { attempt } = this.deps.place;
      const frame = this.frame(table);
      const { out } = this;
      out.begin();
      out.put(frame.heads.t);
      out.ascii('null,"after":null');
      return this.finished(frame, 't', '', `${frame.subject}-${attempt}-emptied`);
    });
  }

  private frame({ schema, table, columns, key }: SourceTable) {
    const names = columns.map(({ name }) => name);
    const indexes = key.map((name) => names.indexOf(name));
    const excluded = this.deps.excludedOf(schema, table);
    return relationFrame({ schema, table, names, key: indexes }, { flavor: this.deps.server.flavor, excluded });
  }

  private async *rowsOf(table: SourceTable, signal: AbortSignal): AsyncGenerator<ChangeEvent[]> {
    const frame = this.frame(table);
    const shown = table.columns.map((column) => shownColumn(column, table.kinds[column.name]));
    const list = shown.map(({ sql }, i) => (frame.hidden[i] ? 'NULL' : sql)).join(', ');
    const sql = `SELECT ${list} FROM ${qualified(table.schema, table.table)}`;
    let events: ChangeEvent[] = [];
    let bytes = 0;
    let count = 0;
    for await (const row of this.deps.session.rows(sql)) {
      if (signal.aborted) return;
      const { out } = this;
      out.begin();
      out.put(frame.heads.r);
      out.ascii('null,"after":{');
      const parts: string[] = [];
      let first = true;
      for (let i = 0; i < shown.length; i++) {
        if (frame.hidden[i]) continue;
        out.put(first ? frame.bareLabels[i]! : frame.labels[i]!);
        first = false;
        const since = out.written;
        const value = row[i] ?? null;
        if (value === null) out.put(NULL);
        else shown[i]!.write(out, value);
        if (frame.isKey[i]) parts[i] = out.text(since);
      }
      out.byte(0x7d);
      const key = keyText(
        frame,
        frame.key.map((i) => parts[i]!),
      );
      const place = `${frame.subject}-${this.deps.place.attempt}-${key === '' ? `#${count}` : key}`;
      const event = this.finished(frame, 'r', key, place);
      count += 1;
      events.push(event);
      bytes += event.data.length;
      if (events.length < EVENTS && bytes < BYTES) continue;
      yield events;
      [events, bytes] = [[], 0];
    }
    if (events.length > 0) yield events;
  }

  private finished(frame: ReturnType<Snapshot['frame']>, op: 'r' | 't', key: string, place: string): ChangeEvent {
    const { out } = this;
    const { file, pos } = this.deps.place;
    const timeMs = this.deps.clock.now();
    out.put(frame.sourceHead);
    out.ascii(
      `true,"ts_ms":${timeMs},"gtid":null,"server_id":${this.deps.server.serverId},"file":${JSON.stringify(file)},"pos":${pos},"row":0,"seq":0`,
    );
    out.put(this.end.text());
    return {
      id: `snap-${file}-${pos}-${place}`,
      type: ROW_EVENT_TYPES[op],
      ...{ subject: frame.subject, time: new Date(timeMs).toISOString(), timeMs, partitionkey: key },
      data: out.take(),
      order: null,
    };
  }
}

import { ROW_EVENT_TYPES, type ChangeEvent } from '@planasonix/core';
import { EventEnd, JsonBuffer, piece, type Piece } from '@planasonix/json-buffer';
import { relationFrame } from '../decode/relation.js';
import { keyText } from '../decode/row-image.js';
import type { LogPlace, Server } from '../server.js';
import type { SourceTable } from '../tables.js';
import type { KeyColumn } from './key-column.js';
import { shownColumn } from './shown-values.js';

const NULL = piece('null');
/** So many rows one behind the other say that they were written at the same time. */
const SAME_TIME = 64;

export interface RowWriterOptions {
  readonly server: Server;
  readonly table: SourceTable;
  /** Columns that never leave the worker, in lower case. */
  readonly excluded: ReadonlySet<string>;
  /** What the rows are told to be as of. */
  readonly place: LogPlace;
  readonly takenAtMs: number;
  /** Begins the id of each row; its key follows. */
  readonly idPrefix: string;
  /** By which they are read. */
  readonly key: readonly KeyColumn[];
}

/** Of what a server shows of a key, or of what its columns are told apart by. */
export const boundOf = (shown: Buffer | null | undefined): string => shown?.toString('latin1') ?? '';

type Frame = ReturnType<typeof frameOf>;

const frameOf = ({ server, table, excluded }: Pick<RowWriterOptions, 'server' | 'table' | 'excluded'>) => {
  const { schema, columns, key } = table;
  const names = columns.map(({ name }) => name);
  const indexes = key.map((name) => names.indexOf(name));
  return relationFrame({ schema, table: table.table, names, key: indexes }, { flavor: server.flavor, excluded });
};

/** What stands behind the row itself. */
const sourceText = ({ server, place, takenAtMs }: Pick<RowWriterOptions, 'server' | 'place' | 'takenAtMs'>): Piece =>
  piece(
    `true,"ts_ms":${takenAtMs},"gtid":null,"server_id":${server.serverId},"file":${JSON.stringify(place.file)},"pos":${place.pos},"row":0,"seq":0`,
  );

/** Rows as a server shows them, to events, with what the server says of the key of the last one. */
export class RowWriter {
  /** What to ask for, ready for SQL. */
  readonly list: string;
  /** What bounds its key, ready for SQL. */
  readonly keyList: string;
  /** Bytes of the events that were not taken. */
  bytes = 0;
  private events: ChangeEvent[] = [];
  private readonly out = new JsonBuffer();
  private readonly end = new EventEnd();
  private readonly frame: Frame;
  private readonly shown: ReturnType<typeof shownColumn>[];
  /** Where in a row the bounds of its key stand. */
  private readonly bounds: readonly number[];
  private readonly source: Piece;
  private readonly time: string;
  private last: readonly (Buffer | null)[] = [];
  private count = 0;
  /** What stands behind the row itself. */
  private tail = piece();

  constructor(private readonly options: RowWriterOptions) {
    const { table, key, takenAtMs } = options;
    this.frame = frameOf(options);
    this.shown = table.columns.map((column) => shownColumn(column, table.kinds[column.name]));
    const list = this.shown.map(({ sql }, i) => (this.frame.hidden[i] ? 'NULL' : sql));
    this.bounds = key.map(({ name, bound }) =>
      bound === null ? table.columns.findIndex((column) => column.name === name) : list.push(bound) - 1,
    );
    this.list = list.join(', ');
    this.keyList = this.bounds.map((i) => list[i]).join(', ');
    this.source = sourceText(options);
    this.time = new Date(takenAtMs).toISOString();
  }

  /** Events that were not taken. */
  get waiting(): number {
    return this.events.length;
  }

  take(): ChangeEvent[] {
    const { events } = this;
    this.events = [];
    this.bytes = 0;
    return events;
  }

  /** Bounds of the key of the last row. */
  lastKey(): string[] {
    return this.bounds.map((i) => boundOf(this.last[i]));
  }

  row(row: readonly (Buffer | null)[]): void {
    const { out, frame, shown } = this;
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
    // Asking for the time costs more than writing a value.
    if (this.count % SAME_TIME === 0) this.tail = piece(frame.sourceHead, this.source, this.end.text());
    out.put(this.tail);
    const data = out.take();
    this.events.push({
      id: `${this.options.idPrefix}${key === '' ? `#${this.count}` : key}`,
      type: ROW_EVENT_TYPES.r,
      ...{ subject: frame.subject, time: this.time, timeMs: this.options.takenAtMs, partitionkey: key },
      data,
      order: null,
    });
    this.bytes += data.length;
    this.count += 1;
    this.last = row;
  }
}

/** `op:"t"` with `source.snapshot:true`: whoever folds the log by key forgets what he has of the table; its rows follow. */
export function emptiedEvent(
  { schema, table }: { readonly schema: string; readonly table: string },
  of: Pick<RowWriterOptions, 'server' | 'place' | 'takenAtMs'> & { readonly id: string },
): ChangeEvent {
  const frame = relationFrame({ schema, table, names: [], key: [] }, { flavor: of.server.flavor, excluded: new Set() });
  const head = `${frame.heads.t.toString()}null,"after":null${frame.sourceHead.toString()}${sourceText(of).toString()}`;
  return {
    ...{ id: of.id, type: ROW_EVENT_TYPES.t, subject: frame.subject, partitionkey: '' },
    ...{ time: new Date(of.takenAtMs).toISOString(), timeMs: of.takenAtMs },
    data: Buffer.from(`${head}},"ts_ms":${of.takenAtMs}}`),
    order: null,
  };
}

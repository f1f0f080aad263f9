import { StreamError, type ChangeBatch, type ChangeEvent, type Log, type SetAside } from '@planasonix/core';
import { forgetBytes, type JsonBuffer } from '@planasonix/json-buffer';
import { partitionName, type RecordChunk } from '@planasonix/kafka';
import { encodePosition } from './position.js';
import { idOf, RecordEvents } from './record-event.js';
import { DoesNotFit, putBytes, type Encoding, type Format } from './record-text.js';
import { schemaIdOf, type Registry, type SchemaAway, type SchemaKind } from './registry/registry.js';
import { NotRegistered } from './registry/schema-source.js';
import { StuckAt } from './stuck.js';

export interface BatchesInput {
  readonly format: Format | SchemaKind;
  /** Absent: the stream has none. */
  readonly registry: Registry | null;
  readonly streamId: string;
  readonly log: Log;
  /** Absent: nobody keeps them. */
  readonly setAside?: (records: readonly SetAside[]) => Promise<void>;
}

function putText(to: JsonBuffer, json: string): Encoding {
  to.utf8(json);
  return 'json';
}

/** Which record waits for a schema, and how the stream goes on without it where that, or what it refers to, is not registered. */
function waiting(chunk: RecordChunk, offset: number, { id, why }: SchemaAway): StreamError {
  const message = `${partitionName(chunk)} at ${offset} waits for schema ${id}: ${why.message}`;
  if (!(why instanceof NotRegistered)) return new StreamError(why.code, message, { hint: why.hint, cause: why });
  const missing = why.path.startsWith('schemas/ids/') ? `schema ${id}` : 'what is missing';
  return new StuckAt(why.code, message, chunk, {
    first: `Register ${missing}, correct schema_registry.url, or set format to base64, which asks for no schema.`,
    ...{ without: 'this record', next: offset + 1 },
  });
}

/** Chunks of records become batches of events; what does not fit the format is set aside, and the stream goes on. */
export class Batches {
  readonly #events = new RecordEvents((to, value) => this.#value(to, value));

  constructor(private readonly input: BatchesInput) {}

  /** @throws StreamError behind the records before one whose schema can't be had now */
  async *of(chunk: RecordChunk): AsyncGenerator<ChangeBatch> {
    const { records } = chunk;
    const registry = this.#asksRegistry ? this.input.registry : null;
    const away = (await registry?.prepare(records.map(({ value }) => value))) ?? null;
    if (away === null) {
      yield await this.#batchOf(chunk);
      return;
    }
    const { offset } = records[away.index]!;
    if (away.index > 0) yield await this.#batchOf({ ...chunk, records: records.slice(0, away.index), next: offset });
    throw waiting(chunk, offset, away);
  }

  async #batchOf(chunk: RecordChunk): Promise<ChangeBatch> {
    this.#events.begin(chunk);
    const events: ChangeEvent[] = [];
    const aside: SetAside[] = [];
    for (const record of chunk.records)
      try {
        events.push(this.#events.event(record));
      } catch (error) {
        if (!(error instanceof DoesNotFit)) throw error;
        const place = `${partitionName(chunk)} at ${record.offset}`;
        aside.push({ id: idOf(chunk, record.offset), place, reason: error.message, timeMs: record.timestamp });
      }
    forgetBytes();
    if (aside.length > 0) await this.#setAside(aside);
    const { topicId, next, leaderEpoch } = chunk;
    return {
      partition: partitionName(chunk),
      events,
      position: encodePosition({ topicId, offset: next, leaderEpoch }),
    };
  }

  /** What is taken as it is needs no schema, whatever its first bytes look like. */
  get #asksRegistry(): boolean {
    return !['json', 'text', 'base64'].includes(this.input.format);
  }

  /** @throws DoesNotFit */
  #value(to: JsonBuffer, value: Buffer | null): Encoding {
    const { format, registry } = this.input;
    switch (format) {
      case 'avro':
      case 'json_schema':
      case 'protobuf':
        if (registry === null) throw new DoesNotFit('The stream has no schema registry.');
        return value === null ? putBytes(to, null, 'json') : putText(to, registry.text(value, format));
      case 'auto':
        return registry !== null && value !== null && schemaIdOf(value) !== null
          ? putText(to, registry.text(value, null))
          : putBytes(to, value, format);
      default:
        return putBytes(to, value, format);
    }
  }

  /** Kept before the position passes them. */
  async #setAside(records: readonly SetAside[]): Promise<void> {
    const { log, streamId, setAside } = this.input;
    await setAside?.(records);
    const [first] = records;
    log.warn(
      { streamId, count: records.length, place: first!.place, reason: first!.reason },
      'records do not fit the format of the stream and were set aside',
    );
  }
}

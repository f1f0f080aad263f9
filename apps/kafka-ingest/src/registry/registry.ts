import { StreamError } from '@planasonix/core';
import { DoesNotFit } from '../record-text.js';
import { avroReader } from './avro.js';
import { jsonSchemaReader } from './json-schema.js';
import { protobufReader } from './protobuf.js';
import type { SchemaSource } from './schema-source.js';

export type SchemaKind = 'avro' | 'json_schema' | 'protobuf';

interface Schema {
  readonly kind: SchemaKind;
  /** @throws DoesNotFit */
  read(value: Buffer): string;
}

export interface SchemaAway {
  /** Of the value. */
  readonly index: number;
  /** Of the schema. */
  readonly id: number;
  readonly why: StreamError;
}

interface Text {
  readonly name: string;
  readonly text: string;
}

const HEAD = 5;
const MAGIC = 0;
const KINDS: Readonly<Record<string, SchemaKind>> = { AVRO: 'avro', JSON: 'json_schema', PROTOBUF: 'protobuf' };
const MOST_SCHEMAS = 1_000;
const MOST_REFERENCES = 100;

/** Does a value begin as Confluent's wire format does: a zero, then the id of its schema? */
export const schemaIdOf = (value: Buffer | null): number | null =>
  value !== null && value.length >= HEAD && value[0] === MAGIC ? value.readUInt32BE(1) : null;

/** Schemas by id, fetched once: a registry never changes one. */
export class Registry {
  readonly #schemas = new Map<number, Schema>();

  constructor(private readonly source: SchemaSource) {}

  /**
   * Fetches what these values need.
   * @returns the first of them whose schema can't be had now; `null`: all can be read
   * @throws StreamError for what is not to be tried again
   */
  async prepare(values: readonly (Buffer | null)[]): Promise<SchemaAway | null> {
    // Invariant 6: between chunks, for these values need all of theirs.
    if (this.#schemas.size >= MOST_SCHEMAS) this.#schemas.clear();
    for (const [index, value] of values.entries()) {
      const id = schemaIdOf(value);
      if (id === null || this.#schemas.has(id)) continue;
      try {
        this.#schemas.set(id, await this.#fetch(id));
      } catch (why) {
        if (!(why instanceof StreamError) || why.recourse !== 'retry') throw why;
        return { index, id, why };
      }
    }
    return null;
  }

  /** A value whose schema was prepared, as JSON. @throws DoesNotFit */
  text(value: Buffer, kind: SchemaKind | null): string {
    const id = schemaIdOf(value);
    const schema = id === null ? undefined : this.#schemas.get(id);
    if (!schema) throw new DoesNotFit('The value does not begin with the id of a schema.');
    if (kind !== null && schema.kind !== kind) throw new DoesNotFit(`Schema ${id} is ${schema.kind}, not ${kind}.`);
    return schema.read(value.subarray(HEAD));
  }

  async #fetch(id: number): Promise<Schema> {
    const found = await this.source.get(`schemas/ids/${id}`);
    // Avro is what a registry does not name.
    const type = typeof found['schemaType'] === 'string' ? found['schemaType'] : 'AVRO';
    const kind = KINDS[type];
    const references = await this.#references(found['references'], new Set());
    try {
      const read = readerOf(kind, String(found['schema']), references);
      if (kind && read) return { kind, read };
      return unreadable(id, `of the type ${type}`);
    } catch (error) {
      // Whatever a library finds wrong with a schema: the stream goes on without the records that need it.
      if (!(error instanceof StreamError)) return unreadable(id, 'not readable');
      throw error;
    }
  }

  /** What a schema refers to, the deepest first; of a circle, one after the other. */
  async #references(given: unknown, asked: Set<string>): Promise<Text[]> {
    const found: Text[] = [];
    for (const one of Array.isArray(given) ? (given as Record<string, unknown>[]) : []) {
      const name = String(one['name']);
      if (asked.has(name) || asked.size >= MOST_REFERENCES) continue;
      asked.add(name);
      const path = `subjects/${encodeURIComponent(String(one['subject']))}/versions/${Number(one['version'])}`;
      const schema = await this.source.get(path);
      found.push(...(await this.#references(schema['references'], asked)), { name, text: String(schema['schema']) });
    }
    return found;
  }
}

function readerOf(kind: SchemaKind | undefined, schema: string, references: readonly Text[]) {
  switch (kind) {
    case 'avro':
      return avroReader(
        JSON.parse(schema),
        references.map(({ text }) => JSON.parse(text) as unknown),
      );
    case 'json_schema':
      return jsonSchemaReader(schema, references);
    case 'protobuf':
      return protobufReader(schema, references);
    case undefined:
      return null;
  }
}

/** Its values are set aside: a registry never changes a schema, so that trying again would not help. */
const unreadable = (id: number, why: string): Schema => ({
  kind: 'avro',
  read: () => {
    throw new DoesNotFit(`Schema ${id} is ${why}.`);
  },
});

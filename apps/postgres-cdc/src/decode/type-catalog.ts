import { piece } from '@planasonix/json-buffer';
import { arrayWriter, compositeWriter, hstoreWriter, vectorWriter, type CompositeField } from './nested-writers.js';
import {
  boolWriter,
  integerWriter,
  jsonWriter,
  numberWriter,
  textWriter,
  timestamptzWriter,
  timestampWriter,
  type ValueWriter,
} from './value-writers.js';

/** Runs a catalog query; every value comes as text. */
export type CatalogQuery = (
  sql: string,
  params: readonly unknown[],
) => Promise<readonly Readonly<Record<string, string | null>>[]>;

const BUILT_IN: ReadonlyMap<number, ValueWriter> = new Map([
  [16, boolWriter],
  [20, integerWriter],
  [21, integerWriter],
  [23, integerWriter],
  [700, numberWriter],
  [701, numberWriter],
  [1700, numberWriter],
  [114, jsonWriter],
  [3802, jsonWriter],
  [1114, timestampWriter],
  [1184, timestamptzWriter],
]);
/** Vectors are arrays to jsonb, though their text is not an array's. */
const VECTORS: ReadonlyMap<number, ValueWriter> = new Map([
  [22, integerWriter],
  [30, textWriter],
]);

interface TypeRow {
  readonly kind: string;
  readonly base: number;
  readonly element: number;
  readonly delimiter: number;
  readonly isArray: boolean;
  readonly isHstore: boolean;
  readonly fields: readonly { readonly name: string; readonly type: number }[];
}

/** A type, its element, its base and its fields, all the way down. */
const QUERY = `
  WITH RECURSIVE needed(oid) AS (
    SELECT unnest($1::oid[])
    UNION
    SELECT dep.oid FROM needed n JOIN pg_type t ON t.oid = n.oid
      CROSS JOIN LATERAL (
        SELECT t.typelem AS oid UNION ALL SELECT t.typbasetype
        UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped) dep
    WHERE dep.oid <> 0)
  SELECT t.oid::text AS oid, t.typtype::text AS kind, t.typbasetype::text AS base, t.typelem::text AS element, t.typdelim::text AS delimiter,
    (t.typelem <> 0 AND t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc)::text AS is_array,
    (t.typname = 'hstore' AND EXISTS (SELECT 1 FROM pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 'json'::regtype AND c.castmethod = 'f'))::text AS is_hstore,
    coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', a.atttypid::int8) ORDER BY a.attnum) FROM pg_attribute a
       WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text AS fields
  FROM needed n JOIN pg_type t ON t.oid = n.oid`;

/**
 * How the server's `to_jsonb` treats each type: numbers, booleans, JSON, arrays and composites as such, everything
 * else as text. Types that are not built in are read from the catalog when they are first met.
 */
export class TypeCatalog {
  private readonly rows = new Map<number, TypeRow>();
  private readonly writers = new Map<number, ValueWriter>(BUILT_IN);
  private lenient = false;

  /** Those of `oids` that have to be read first. */
  unknown(oids: Iterable<number>): number[] {
    return [...oids].filter((oid) => !this.writers.has(oid) && !this.rows.has(oid));
  }

  /** Reads the types and all they are made of. A type that is gone meanwhile is text. */
  async ensure(oids: Iterable<number>, query: CatalogQuery): Promise<void> {
    const missing = this.unknown(oids);
    if (missing.length > 0) await this.renew(missing, query);
  }

  /** Reads them again: a composite type may have got new fields. What is known of others stays. */
  async renew(oids: readonly number[], query: CatalogQuery): Promise<void> {
    const asked = oids.filter((oid) => !BUILT_IN.has(oid));
    if (asked.length === 0) return;
    for (const row of await query(QUERY, [asked])) {
      this.rows.set(Number(row['oid']), {
        kind: row['kind'] ?? 'b',
        base: Number(row['base']),
        element: Number(row['element']),
        delimiter: (row['delimiter'] ?? ',').charCodeAt(0),
        isArray: row['is_array'] === 'true',
        isHstore: row['is_hstore'] === 'true',
        fields: JSON.parse(row['fields'] ?? '[]') as { name: string; type: number }[],
      });
    }
    this.writers.clear();
    for (const [oid, writer] of BUILT_IN) this.writers.set(oid, writer);
    for (const oid of asked) if (!this.rows.has(oid)) this.writers.set(oid, textWriter);
  }

  /** Those of `oids` that hold a composite type somewhere: its fields may change, and no table's form with them. */
  changeable(oids: Iterable<number>): number[] {
    return [...oids].filter((oid) => this.holdsComposite(oid));
  }

  private holdsComposite(oid: number): boolean {
    const row = this.rows.get(oid);
    if (row === undefined) return false;
    return row.kind === 'c' || this.holdsComposite(row.base) || this.holdsComposite(row.element);
  }

  /**
   * Decodes with this rule: a composite value whose fields still differ, though its type was read again, comes as the
   * server's text. It is of a time in between, and what its fields were called nobody can say any more.
   */
  leniently<T>(decode: () => T): T {
    this.lenient = true;
    try {
      return decode();
    } finally {
      this.lenient = false;
    }
  }

  /** @param oid known, see `unknown`. */
  writer(oid: number): ValueWriter {
    const known = this.writers.get(oid);
    if (known !== undefined) return known;
    const made = this.make(oid);
    this.writers.set(oid, made);
    return made;
  }

  private make(oid: number): ValueWriter {
    const vector = VECTORS.get(oid);
    if (vector !== undefined) return vectorWriter(vector);
    const row = this.rows.get(oid);
    if (row === undefined) return textWriter;
    if (row.kind === 'd') return this.writer(row.base);
    if (row.isArray) return arrayWriter(this.writer(row.element), row.delimiter);
    if (row.kind === 'c')
      return compositeWriter(
        row.fields.map(({ name, type }): CompositeField => ({
          label: piece(`${JSON.stringify(name)}:`),
          write: this.writer(type),
        })),
        () => (this.lenient ? 'text' : 'ask'),
      );
    return row.isHstore ? hstoreWriter : textWriter;
  }
}

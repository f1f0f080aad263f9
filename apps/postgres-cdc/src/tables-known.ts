import type { Client } from 'pg';
import type { RelationInfo, TypeCatalog } from './decode/index.js';
import type { SourceTable } from './tables.js';

const KEY = `
  SELECT a.attname AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = $1::oid AND k.n <= i.indnkeyatts AND CASE WHEN $2 THEN i.indisreplident ELSE i.indisprimary END ORDER BY k.n`;

/** Which tables the decoder can take rows of: their types are in the catalog, their keys are known. */
export class KnownTables {
  private readonly keys = new Map<number, readonly string[]>();
  private readonly shapes = new Map<number, string>();

  constructor(
    private readonly catalog: TypeCatalog,
    private readonly control: () => Promise<Client>,
  ) {}

  /** What was resolved before reading began. */
  async begin(tables: readonly SourceTable[]): Promise<void> {
    for (const table of tables) this.keys.set(table.oid, table.key);
    await this.ensure(tables.flatMap((table) => table.columns.map((column) => column.typeOid)));
  }

  keyOf(relation: RelationInfo): readonly string[] {
    return this.keys.get(relation.oid) ?? [];
  }

  /** A table that was seen with this very shape, or for the first time and just resolved. */
  has(relation: RelationInfo): boolean {
    const shape = shapeOf(relation);
    const seen = this.shapes.get(relation.oid);
    const fits =
      this.keys.has(relation.oid) &&
      (seen === undefined || seen === shape) &&
      this.catalog.unknown(relation.columns.map((column) => column.typeOid)).length === 0;
    if (fits) this.shapes.set(relation.oid, shape);
    return fits;
  }

  /** Asks the catalog again: the table is new, or its shape or its types have changed. */
  async learn(relation: RelationInfo): Promise<void> {
    const control = await this.control();
    this.catalog.forget();
    await this.ensure(relation.columns.map((column) => column.typeOid));
    const { rows } = await control.query<{ name: string }>(KEY, [relation.oid, relation.replicaIdentity === 'i']);
    this.keys.set(
      relation.oid,
      rows.map((row) => row.name),
    );
    this.shapes.set(relation.oid, shapeOf(relation));
  }

  private async ensure(oids: readonly number[]): Promise<void> {
    if (this.catalog.unknown(oids).length === 0) return;
    const control = await this.control();
    await this.catalog.ensure(
      oids,
      async (sql, params) => (await control.query<Record<string, string | null>>(sql, [...params])).rows,
    );
  }
}

const shapeOf = (relation: RelationInfo): string =>
  relation.replicaIdentity +
  relation.columns.map((column) => `${column.name}:${column.typeOid}:${column.identity}`).join('\0');

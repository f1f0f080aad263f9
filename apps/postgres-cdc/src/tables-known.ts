import type { Client } from 'pg';
import type { PostgresConfig } from './config.js';
import { keyOf, type DecoderOptions, type GateSlot, type RelationInfo, type TypeCatalog } from './decode/index.js';
import type { Emptyings } from './emptyings.js';
import { ExcludedColumns } from './excluded-columns.js';
import type { ServerIdentity } from './position.js';
import type { StrayState } from './rows/rows-state.js';
import { SHUT } from './rows/table-watch.js';
import { same } from './taken-tables.js';
import { askedTables, describeTable, isAsked, type SourceTable, type TableName } from './tables.js';

const KEY = `
  SELECT a.attname AS name FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = $1::oid AND k.n <= i.indnkeyatts AND CASE WHEN $2 THEN i.indisreplident ELSE i.indisprimary AND i.indimmediate END ORDER BY k.n`;

const ANCESTORS = `
  SELECT c.oid, n.nspname AS schema, c.relname AS table FROM pg_partition_ancestors($1::oid) a
  JOIN pg_class c ON c.oid = a.relid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.relid::oid <> $1::oid`;

/** Whoever takes tables up. */
export interface Taker {
  /** The name by which it has a table; absent: it does not. */
  nameOf(oid: number): string | undefined;
  /** Columns of the key by which readers have its rows and changes; absent: not known, or they have none. */
  keyOf(oid: number): readonly string[] | undefined;
  /** Changes come under this name, and by this key, from here on, and are left out where it is not asked for. */
  came(under: StrayState): void;
  /** A table with partitions was emptied. */
  met(): void;
}

type Ancestor = TableName & { readonly oid: string };

/** Which tables the decoder can take rows of: their types are in the catalog, their keys are known, and who stands at them. */
export class KnownTables {
  private readonly keys = new Map<number, readonly string[]>();
  private readonly shapes = new Map<number, string>();
  private readonly slots = new Map<number, GateSlot>();
  /** Partitions that come under their own names → their root. */
  private readonly roots = new Map<number, number>();
  /** Those whose changes come under a name that nobody asked for: a publication may cover more than the stream does. */
  private readonly unasked = new Set<number>();
  /** Tables with partitions. */
  private readonly partitioned = new Set<number>();

  readonly columns: ExcludedColumns;

  constructor(
    private readonly config: Pick<PostgresConfig, 'tables' | 'exclude_tables' | 'exclude_columns'>,
    private readonly catalog: TypeCatalog,
    private readonly control: () => Promise<Client>,
    private readonly taker: () => Taker | null,
    private readonly emptyings: Emptyings,
  ) {
    this.columns = new ExcludedColumns(config);
  }

  /** Tables as the catalog has them. */
  async add(tables: readonly SourceTable[]): Promise<void> {
    for (const table of tables) {
      this.keys.set(table.oid, table.key);
      if (table.partitioned) this.partitioned.add(table.oid);
      this.columns.add(table);
    }
    await this.ensure(tables.flatMap((table) => table.columns.map((column) => column.typeOid)));
  }

  /** How the changes of a database are decoded. */
  decoding(database: string, server: ServerIdentity): DecoderOptions {
    return {
      catalog: this.catalog,
      keyOf: (relation) => this.keyOf(relation),
      excludedOf: (relation) => this.excludedOf(relation),
      slotOf: (relation) => this.gateOf(relation),
      emptied: (relation, xid) => this.emptied(relation.oid, xid),
      database,
      idPrefix: `${BigInt(server.system_id).toString(36)}-${server.timeline}-`,
    };
  }

  keyOf(relation: RelationInfo): readonly string[] {
    return this.keys.get(relation.oid) ?? [];
  }

  /** Columns that never leave the worker. @throws StreamError `config_invalid` where those can't be told */
  excludedOf(relation: RelationInfo): ReadonlySet<string> {
    const root = this.roots.get(relation.oid);
    // Of what nobody asks for nothing leaves.
    const shut = this.slotOf(relation.oid).gate === SHUT;
    return shut ? this.columns.of(relation, root) : this.columns.ofChanges(relation, root);
  }

  /** The stream says so. It is looked at once, so that what is noted of its partitions is not older for long. */
  emptied(oid: number, xid: number): void {
    const root = this.roots.get(oid) ?? oid;
    if (!this.partitioned.has(root)) return;
    this.emptyings.say(root, xid);
    this.taker()?.met();
  }

  /** The gate that its changes go through, under the name that they have. */
  gateOf({ oid }: { readonly oid: number }): GateSlot {
    return this.unasked.has(this.roots.get(oid) ?? oid) ? { gate: SHUT } : this.slotOf(oid);
  }

  /** Where somebody may stand at a table; a partition goes by its root. */
  slotOf(oid: number): GateSlot {
    const of = this.roots.get(oid) ?? oid;
    let slot = this.slots.get(of);
    if (slot === undefined) this.slots.set(of, (slot = { gate: null }));
    return slot;
  }

  /** A table that was seen with this very shape, or for the first time and just resolved. */
  has(relation: RelationInfo): boolean {
    const shape = shapeOf(relation);
    const seen = this.shapes.get(relation.oid);
    const by = this.taker()?.keyOf(relation.oid);
    const byAnother = by !== undefined && !same(by, this.toldKey(relation));
    if (byAnother || !flagsKey(relation)) return false;
    if (seen !== undefined) return seen === shape;
    // The first message of a table on this connection: the catalog is fresh, unless a type is new.
    if (!this.keys.has(relation.oid)) return false;
    if (this.taker()?.nameOf(relation.oid) !== `${relation.schema}.${relation.table}`) return false;
    if (this.catalog.unknown(relation.columns.map((column) => column.typeOid)).length > 0) return false;
    if (this.columns.differ(relation)) return false;
    this.shapes.set(relation.oid, shape);
    return true;
  }

  /** Its form or its name has changed, or it is new: key, types and whether it is asked for are asked of the catalog. */
  async learn(relation: RelationInfo): Promise<void> {
    const control = await this.control();
    await this.catalog.renew(
      relation.columns.map((column) => column.typeOid),
      async (sql, params) => (await control.query<Record<string, string | null>>(sql, [...params])).rows,
    );
    const { rows } = await control.query<{ name: string }>(KEY, [relation.oid, relation.replicaIdentity === 'i']);
    const key = rows.map((row) => row.name);
    if (this.isAsBefore(relation, key)) return;
    await this.place(control, relation, key);
    await this.columns.learn(control, relation, this.roots.get(relation.oid));
    // A look may have found an older one meanwhile.
    this.keys.set(relation.oid, key);
    this.shapes.set(relation.oid, shapeOf(relation));
  }

  /** Only its key had to be asked for. */
  private isAsBefore(relation: RelationInfo, key: readonly string[]): boolean {
    if (this.shapes.get(relation.oid) !== shapeOf(relation) || !same(this.keys.get(relation.oid) ?? [], key))
      return false;
    const by = this.taker()?.keyOf(relation.oid);
    return by === undefined || same(by, namesAt(relation, key));
  }

  /** A publication may cover more than was asked for, and may send partitions under their own names. */
  private async place(control: Client, relation: RelationInfo, key: readonly string[]): Promise<void> {
    const { oid, schema, table } = relation;
    const ancestors = await ancestorsOf(control, oid);
    if (!this.keys.has(oid)) {
      const root = ancestors.map((one) => Number(one.oid)).find((one) => this.keys.has(one));
      if (root !== undefined) this.roots.set(oid, root);
    }
    if (this.roots.has(oid)) return;
    const [taker, asked] = [this.taker(), isAsked(this.config, { schema, table, ancestors })];
    if (asked) this.unasked.delete(oid);
    else this.unasked.add(oid);
    taker?.came({ oid, name: `${schema}.${table}`, asked, key: namesAt(relation, key) });
    // It will be refused: nothing of it comes until it is taken up, which it may have been while this was asked.
    const isTaken = () => taker?.nameOf(oid) !== undefined;
    if (asked && !isTaken() && (await this.lacksIdentity(control, oid)) && !isTaken()) this.slotOf(oid).gate ??= SHUT;
  }

  private toldKey(relation: RelationInfo): readonly string[] {
    return namesAt(relation, this.keys.get(relation.oid) ?? []);
  }

  private async lacksIdentity(control: Client, oid: number): Promise<boolean> {
    const table = await describeTable(control, oid, this.config);
    return table !== null && table.unidentified.length > 0;
  }

  /** Whether its changes would be read, by the name that they were made under or the one that it has by now. */
  async asks({ oid, schema, table }: RelationInfo): Promise<boolean> {
    const control = await this.control();
    const ancestors = await ancestorsOf(control, oid);
    if (isAsked(this.config, { schema, table, ancestors })) return true;
    const family = new Set([oid, ...ancestors.map((one) => Number(one.oid))]);
    return (await askedTables(control, this.config)).some((one) => family.has(one.oid));
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

const ancestorsOf = async (control: Client, oid: number): Promise<readonly Ancestor[]> =>
  (await control.query<Ancestor>(ANCESTORS, [oid])).rows;

/** The key by which the stream tells of its rows. */
const namesAt = (relation: RelationInfo, key: readonly string[]): readonly string[] =>
  keyOf(relation, key).map((i) => relation.columns[i]!.name);

/** With FULL every column is flagged, with NOTHING none, and of several it is not said in which order they are the key: only the catalog says. */
const flagsKey = ({ replicaIdentity, columns }: RelationInfo): boolean =>
  replicaIdentity !== 'f' && replicaIdentity !== 'n' && columns.filter(({ identity }) => identity).length < 2;

const shapeOf = ({ schema, table, replicaIdentity, columns }: RelationInfo): string =>
  JSON.stringify([
    schema,
    table,
    replicaIdentity,
    columns.map((column) => [column.name, column.typeOid, column.identity]),
  ]);

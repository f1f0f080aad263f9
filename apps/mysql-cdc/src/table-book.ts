import { StreamError, type Log } from '@planasonix/core';
import { BINARY, textsIn, type Charsets } from './decode/charsets.js';
import { Packed } from './decode/packed.js';
import { prepareRelation, relationFrame, type Relation } from './decode/relation.js';
import { parseTableForm, tableNames, TYPE, type FormColumn, type TableForm } from './decode/table-form.js';
import type { TableName } from './decode/statement-reader.js';
import type { Move } from './decode/statement.js';
import { kindsAfter, type ToldKinds } from './decode/told-kinds.js';
import type { Leftovers } from './leftovers.js';
import type { ColumnKind, Kinds } from './position.js';
import type { Flavor, Server } from './server.js';
import type { Session } from './session.js';
import { describeTable, type Asks } from './tables.js';
import { unfitReasons } from './unfit.js';

export interface TableBookDeps {
  readonly server: Server;
  readonly charsets: Charsets;
  readonly asks: Asks;
  excludedOf(schema: string, table: string): ReadonlySet<string>;
  ask<T>(question: (session: Session) => Promise<T>): Promise<T>;
  /** As they were noted with the position that reading goes on from. */
  readonly kinds: Kinds;
  readonly leftovers: Leftovers;
  readonly log: Log;
}

/** Forms that are kept; past so many all are learnt again. Invariant 6. */
const MOST = 4096;

/**
 * Tables as the log tells them. Everything comes from the log itself, as of the event (trap 20), but for what MariaDB has
 * no word for there: UUID, INET6, INET4 and JSON. Those are taken from the catalog when reading begins, and from there on
 * from the statements in the log; from the catalog again where one of these does not say it.
 */
export class TableBook {
  readonly #byForm = new Map<string, Relation | null>();
  readonly #byId = new Map<number, Relation | null>();
  #kinds: Kinds;
  /** Tables that are there, as far as that is known, and so are their kinds. */
  readonly #known: Set<string>;
  /** Those of them that were not there any more when the catalog was asked. */
  readonly #gone = new Set<string>();
  #renewed: TableName[] = [];

  constructor(private readonly deps: TableBookDeps) {
    this.#kinds = deps.kinds;
    this.#known = new Set(Object.keys(deps.kinds));
  }

  get kinds(): Kinds {
    return this.#kinds;
  }

  get leftovers(): Leftovers {
    return this.deps.leftovers;
  }

  /** Every table that the catalog had when reading began. */
  know(tables: readonly { readonly schema: string; readonly table: string }[]): void {
    for (const { schema, table } of tables) this.#known.add(`${schema}.${table}`);
  }

  /** What the rows of this id belong to; `null`: nobody asks for it. @throws StreamError for an id that was not told */
  relation(id: number): Relation | null {
    const found = this.#byId.get(id);
    if (found === undefined)
      throw new StreamError('event_unsupported', 'The log has rows of a table that it did not name.');
    return found;
  }

  /** Ids are given anew by each start of the server. */
  forgetIds(): void {
    this.#byId.clear();
  }

  /**
   * Takes up a Table_map event. @param body without its head
   * @returns what is to be waited for, or `null`: the table is ready.
   */
  mapped(body: Buffer): Promise<void> | null {
    const id = body.readUIntLE(0, 6);
    const text = body.toString('latin1', 6);
    const known = this.#byForm.get(text);
    if (known !== undefined) {
      this.#byId.set(id, known);
      return null;
    }
    const { schema, table } = tableNames(new Packed(body, 6));
    if (!this.deps.asks(schema, table)) {
      this.#keep(text, id, null);
      return null;
    }
    const form = parseTableForm(new Packed(body, 6), this.deps.server.flavor);
    return this.#prepare(form).then((relation) => this.#keep(text, id, relation));
  }

  charsetOf(collation: number): string | undefined {
    return this.deps.charsets.nameOf(collation);
  }

  /** Names as clients wrote them, each byte a character, to their text. */
  textsOf(charset: string, names: readonly string[]): Promise<readonly string[]> {
    return this.deps.ask((session) => textsIn(session, charset, names));
  }

  /** Whether the catalog had it when reading began, or the log has told of it. */
  knows(schema: string, table: string): boolean {
    const isIt = (one: Relation | null): boolean => one?.schema === schema && one.table === table;
    return this.#known.has(`${schema}.${table}`) || [...this.#byForm.values()].some(isIt);
  }

  /** A statement has changed the form of this table, or made it. @param told what it says of what the log has no word for */
  async changed(schema: string, table: string, told: ToldKinds): Promise<void> {
    this.#byForm.clear();
    if (!this.deps.asks(schema, table)) return;
    this.#keepRenamed({ schema, table }, told);
    if (told.kind === 'gone') this.#forget(`${schema}.${table}`);
    else if (this.deps.server.flavor === 'mariadb' && told.kind !== 'same')
      await this.#learn(schema, table, this.#by(`${schema}.${table}`, told));
  }

  /** What a table has by what was told of it; `null`: that does not say it. */
  #by(name: string, told: ToldKinds): Readonly<Record<string, ColumnKind>> | null {
    const isKnown = this.#known.has(name);
    if ((told.kind === 'made' || told.kind === 'like') && told.onlyNew && isKnown) return null;
    if (told.kind === 'made') return told.columns;
    if (told.kind === 'altered') return isKnown ? kindsAfter(this.#kinds[name] ?? {}, told) : null;
    if (told.kind !== 'like') return null;
    const of = `${told.of.schema}.${told.of.table}`;
    return this.#known.has(of) ? (this.#kinds[of] ?? {}) : null;
  }

  /**
   * Tables have other names, all at once, and rows that the log did not tell under these.
   * @param told see `changed`
   * @throws StreamError `config_invalid` where columns would leave the worker that never are to
   */
  async moved(moves: readonly Move[], told: ToldKinds): Promise<void> {
    this.#byForm.clear();
    for (const move of moves) this.#keepExcluded(move);
    for (const { to } of moves) if (this.deps.asks(to.schema, to.table)) this.#keepRenamed(to, told);
    const found = moves.map(({ from: { schema, table }, to }) => {
      const name = `${schema}.${table}`;
      const isKnown = told.kind !== 'unsaid' && this.#known.has(name);
      // The log has a word for all that MySQL has.
      const before = this.deps.server.flavor === 'mysql' ? {} : isKnown ? (this.#kinds[name] ?? {}) : null;
      return { to, kinds: before !== null && told.kind === 'altered' ? kindsAfter(before, told) : before };
    });
    for (const { from } of moves) this.#forget(`${from.schema}.${from.table}`);
    for (const { to, kinds } of found) {
      if (!this.deps.asks(to.schema, to.table)) continue;
      if (await this.#learn(to.schema, to.table, kinds)) this.#renewed.push(to);
    }
  }

  /**
   * Tables got rows that the log did not tell, and kept their names.
   * @param told see `changed`
   * @throws StreamError `config_invalid` where columns would leave the worker that never are to
   */
  async refilled(moves: readonly Move[], told: ToldKinds): Promise<void> {
    for (const move of moves) this.#keepExcluded(move);
    for (const { to } of moves) {
      if (!this.deps.asks(to.schema, to.table)) continue;
      await this.changed(to.schema, to.table, told);
      this.#renewed.push(to);
    }
  }

  /** `exclude_columns` goes by names of tables. */
  #keepExcluded({ from, to }: Move): void {
    const { deps } = this;
    if (!deps.asks(to.schema, to.table)) return;
    const excluded = deps.excludedOf(to.schema, to.table);
    const shown = [...deps.excludedOf(from.schema, from.table)].filter((column) => !excluded.has(column));
    if (shown.length === 0) return;
    const name = `${to.schema}.${to.table}`;
    throw new StreamError(
      'config_invalid',
      `Rows of ${from.schema}.${from.table} came under the name ${name}, and exclude_columns says nothing of ${shown.join(', ')} there.`,
      { hint: `Name them for ${name} in exclude_columns, or leave it out with exclude_tables.` },
    );
  }

  /** An excluded column that has another name now. */
  #keepRenamed({ schema, table }: TableName, { renames = [] }: ToldKinds): void {
    const excluded = this.deps.excludedOf(schema, table);
    const shown = renames.find(([from, to]) => excluded.has(from.toLowerCase()) && !excluded.has(to.toLowerCase()));
    if (shown === undefined) return;
    const [from, to] = shown;
    throw new StreamError(
      'config_invalid',
      `The column ${from} of ${schema}.${table} was renamed to ${to}: exclude_columns keeps back the one and says nothing of the other.`,
      { hint: `Name both in exclude_columns: {"${schema}.${table}":${JSON.stringify([from, to])}}.` },
    );
  }

  /** Whether there are tables of which all rows are others, by a statement that did not say which. */
  get renews(): boolean {
    return this.#renewed.length > 0;
  }

  /** These tables; they are the caller's now. */
  takeRenewed(): readonly TableName[] {
    const tables = this.#renewed;
    this.#renewed = [];
    return tables;
  }

  #forget(name: string): void {
    const { [name]: _, ...others } = this.#kinds;
    this.#kinds = others;
    this.#known.delete(name);
    this.#gone.delete(name);
  }

  frame(schema: string, table: string): Pick<Relation, 'heads' | 'sourceHead' | 'subject'> {
    return relationFrame(
      { schema, table, names: [], key: [] },
      { flavor: this.deps.server.flavor, excluded: new Set() },
    );
  }

  /** Names of tables of a schema that are known to be asked for. */
  ofSchema(schema: string): string[] {
    const found = new Set([...this.#byForm.values()].flatMap((one) => (one?.schema === schema ? [one.table] : [])));
    const prefix = `${schema}.`;
    for (const name of this.#known)
      if (name.startsWith(prefix) && this.deps.asks(schema, name.slice(prefix.length)))
        found.add(name.slice(prefix.length));
    return [...found];
  }

  #keep(text: string, id: number, relation: Relation | null): void {
    if (this.#byForm.size >= MOST) this.#byForm.clear();
    this.#byForm.set(text, relation);
    this.#byId.set(id, relation);
  }

  async #prepare(form: TableForm): Promise<Relation | null> {
    const { schema, table } = form;
    const { charsets, server } = this.deps;
    if (server.flavor === 'mariadb' && !this.#known.has(`${schema}.${table}`)) {
      const wanted = await this.#learn(schema, table, null);
      if (!wanted) return null;
    }
    this.#known.add(`${schema}.${table}`);
    this.#warn(form);
    const collations = new Set(form.columns.map(({ collation }) => collation).filter((one) => one !== BINARY));
    const missing = [...collations].filter((one) => !charsets.has(one));
    if (missing.length > 0)
      await this.deps.ask(async (session) => {
        for (const collation of missing) await charsets.prepare(session, collation);
      });
    return prepareRelation(form, {
      flavor: server.flavor,
      decodeOf: (collation) => charsets.of(collation),
      excluded: new Set([...this.deps.excludedOf(schema, table), ...hashesOf(form, server.flavor)]),
      kinds: fitting(form, this.#kinds[`${schema}.${table}`] ?? {}),
    });
  }

  /**
   * @param told what is in it by the log; `null`: the catalog is asked, which may have another table by now
   * @returns whether it is a table at all. @throws StreamError for one that can't be told exactly
   */
  async #learn(schema: string, table: string, told: Readonly<Record<string, ColumnKind>> | null): Promise<boolean> {
    const { server } = this.deps;
    const found = await this.deps.ask((session) => describeTable(session, server, { schema, table }));
    const name = `${schema}.${table}`;
    this.#forget(name);
    // It is looked at again for each of its forms: what is known is taken for a table.
    if (found?.form === 'SEQUENCE') return false;
    this.#known.add(name);
    const [unfit] = found === null ? [] : unfitReasons(found);
    if (unfit !== undefined) throw new StreamError(unfit.code, unfit.message, { hint: unfit.fix });
    const kinds = told ?? found?.kinds;
    if (kinds === undefined) this.#gone.add(name);
    else if (Object.keys(kinds).length > 0) this.#kinds = { ...this.#kinds, [name]: kinds };
    return true;
  }

  /** The table was dropped or renamed since, and the log does not say what it had: its bytes are told as they are. */
  #warn({ schema, table, columns }: TableForm): void {
    const bare = columns.filter((column) => KINDS.some((kind) => canBe(column, kind))).map(({ name }) => name);
    if (!this.#gone.delete(`${schema}.${table}`) || bare.length === 0) return;
    const why = 'these columns may be of UUID, INET6, INET4 or JSON, and the table that could say so is gone';
    this.deps.log.warn({ schema, table, columns: bare }, why);
  }
}

const HASH = /^DB_ROW_HASH_\d+$/;

/** Behind all others: MariaDB keeps a hash of a unique key that is too long for an index, and the log alone shows it. */
function hashesOf({ columns }: TableForm, flavor: Flavor): string[] {
  const own = ({ name, type, unsigned }: FormColumn): boolean => HASH.test(name) && type === TYPE.LONGLONG && unsigned;
  const last = columns.findLastIndex((column) => !own(column));
  return flavor === 'mariadb' ? columns.slice(last + 1).map(({ name }) => name.toLowerCase()) : [];
}

const KINDS: readonly ColumnKind[] = ['uuid', 'inet6', 'inet4', 'json'];

/** Whether a column of this form can be of that kind at all. JSON is a LONGTEXT, by the bytes of its length. */
function canBe({ type, collation, size, meta }: FormColumn, kind: ColumnKind): boolean {
  if (kind === 'json') return type === TYPE.BLOB && collation !== BINARY && meta[0] === 4;
  return type === TYPE.STRING && collation === BINARY && size === (kind === 'inet4' ? 4 : 16);
}

/** By the names that the form has; they do not tell upper from lower case. */
function fitting(form: TableForm, kinds: Readonly<Record<string, ColumnKind>>): Readonly<Record<string, ColumnKind>> {
  const by = new Map(Object.entries(kinds).map(([name, kind]) => [name.toLowerCase(), kind]));
  return Object.fromEntries(
    form.columns.flatMap((column) => {
      const kind = by.get(column.name.toLowerCase());
      return kind !== undefined && canBe(column, kind) ? [[column.name, kind] as const] : [];
    }),
  );
}

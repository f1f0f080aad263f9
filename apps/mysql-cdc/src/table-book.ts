import { StreamError } from '@planasonix/core';
import { BINARY, textsIn, type Charsets } from './decode/charsets.js';
import { Packed } from './decode/packed.js';
import { prepareRelation, relationFrame, type Relation } from './decode/relation.js';
import { parseTableForm, tableNames, TYPE, type FormColumn, type TableForm } from './decode/table-form.js';
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
}

/** Forms that are kept; past so many all are learnt again. Invariant 6. */
const MOST = 4096;

/**
 * Tables as the log tells them. Everything comes from the log itself, as of the event (trap 20), but for what MariaDB has
 * no word for there: UUID, INET6, INET4 and JSON, which are taken from the catalog before the rows they are in were
 * written, and again after each statement that changes a table.
 */
export class TableBook {
  readonly #byForm = new Map<string, Relation | null>();
  readonly #byId = new Map<number, Relation | null>();
  #kinds: Kinds;
  /** Tables whose kinds are known. */
  readonly #known: Set<string>;

  constructor(private readonly deps: TableBookDeps) {
    this.#kinds = deps.kinds;
    this.#known = new Set(Object.keys(deps.kinds));
  }

  get kinds(): Kinds {
    return this.#kinds;
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

  /** A statement has changed the form of this table, or made it. */
  async changed(schema: string, table: string): Promise<void> {
    this.#byForm.clear();
    if (this.deps.server.flavor === 'mariadb' && this.deps.asks(schema, table)) await this.#learn(schema, table);
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
      const wanted = await this.#learn(schema, table);
      if (!wanted) return null;
    }
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

  /** @returns whether it is a table at all. @throws StreamError for one that can't be told exactly */
  async #learn(schema: string, table: string): Promise<boolean> {
    const { server } = this.deps;
    const found = await this.deps.ask((session) => describeTable(session, server, { schema, table }));
    const name = `${schema}.${table}`;
    this.#known.add(name);
    const { [name]: _, ...others } = this.#kinds;
    if (found === null) {
      // It is gone by now: what it was called then is all that there is.
      return true;
    }
    if (found.form === 'SEQUENCE') return false;
    const [unfit] = unfitReasons(found);
    if (unfit !== undefined) throw new StreamError(unfit.code, unfit.message, { hint: unfit.fix });
    this.#kinds = Object.keys(found.kinds).length === 0 ? others : { ...others, [name]: found.kinds };
    return true;
  }
}

const HASH = /^DB_ROW_HASH_\d+$/;

/** Behind all others: MariaDB keeps a hash of a unique key that is too long for an index, and the log alone shows it. */
function hashesOf({ columns }: TableForm, flavor: Flavor): string[] {
  const own = ({ name, type, unsigned }: FormColumn): boolean => HASH.test(name) && type === TYPE.LONGLONG && unsigned;
  const last = columns.findLastIndex((column) => !own(column));
  return flavor === 'mariadb' ? columns.slice(last + 1).map(({ name }) => name.toLowerCase()) : [];
}

/** Kinds that a column of this form can have at all. */
function fitting(form: TableForm, kinds: Readonly<Record<string, ColumnKind>>): Readonly<Record<string, ColumnKind>> {
  const fits = (name: string, kind: ColumnKind): boolean => {
    const column = form.columns.find((one) => one.name === name);
    if (column === undefined) return false;
    if (kind === 'json') return column.type === TYPE.BLOB && column.collation !== BINARY;
    return column.type === TYPE.STRING && column.collation === BINARY && column.size === (kind === 'inet4' ? 4 : 16);
  };
  return Object.fromEntries(Object.entries(kinds).filter(([name, kind]) => fits(name, kind)));
}

import { StreamError, type Log, type SourceContext, type TableProgress } from '@planasonix/core';
import type { Client } from 'pg';
import type { PostgresConfig } from './config.js';
import { lookAtExcluded, type ExcludedColumns } from './excluded-columns.js';
import { PartitionWatch, type Emptiers, type Partitions } from './partitions.js';
import { identitySql, memberships, publicationTables, uncovered, unsentKeys, type Memberships } from './publication.js';
import { obeyedBy, unlistedKeys } from './publication-filter.js';
import { serverOf } from './slot.js';
import { askedTables, describeTables, type Candidate, type SourceTable } from './tables.js';

export interface LateTablesDeps extends Emptiers {
  readonly config: PostgresConfig;
  readonly publication: string;
  readonly log: Log;
  readonly context: Pick<SourceContext, 'streamId'>;
  readonly excluded: Pick<ExcludedColumns, 'memory'>;
  control(): Promise<Client>;
  /** Sees to it that their changes are published. @throws StreamError */
  publish(control: Client, tables: readonly SourceTable[]): Promise<void>;
}

export interface Looked {
  /** New ones; their changes are published from now on. */
  readonly taken: readonly SourceTable[];
  /** OIDs of known ones whose changes are not published any more, so that some are missing (Invariant 2), or whose new partitions brought rows. */
  readonly lost: readonly number[];
  /** Known ones that have another name by now: to readers they are other tables. */
  readonly renamed: readonly Candidate[];
  /** Partitions are others than before. */
  readonly repartitioned: boolean;
  /** Notes them, in the same turn in which `lost` is acted upon: a notebook between the two would hide what is missing. */
  readonly accept: () => void;
  readonly membership: Memberships;
}

/** Looks for tables that match `tables` and were made, or renamed, while the stream runs. */
export class LateTables {
  private refused_ = new Map<number, TableProgress>();
  private readonly told_ = new Map<number, TableProgress>();
  private readonly partitions: PartitionWatch;

  /** @param partitions those that are noted; kept up to date */
  constructor(
    private readonly deps: LateTablesDeps,
    partitions: Map<number, Partitions>,
  ) {
    this.partitions = new PartitionWatch(partitions, deps);
  }

  /** Those that can't be taken up as they are, and why. */
  get refused(): readonly TableProgress[] {
    return [...this.refused_.values()];
  }

  /** Those of which a person should know something that no event says. */
  get told(): readonly TableProgress[] {
    return [...this.told_.values()];
  }

  /** Those of `tables` that are about to be taken: see `PartitionWatch.note`. */
  async noteParts(tables: readonly { readonly oid: number }[], then?: ReadonlyMap<number, Partitions>): Promise<void> {
    const oids = tables.map(({ oid }) => oid);
    if (oids.length > 0) await this.partitions.note(await this.deps.control(), oids, then);
  }

  /** @param known OID → name of those that the stream has already. */
  async look(known: ReadonlyMap<number, string>): Promise<Looked> {
    const { config, publication } = this.deps;
    const control = await this.deps.control();
    const asked = await askedTables(control, config);
    const published = await publicationTables(control, publication);
    const there = asked.filter((one) => known.has(one.oid));
    const renamed = there.filter((one) => known.get(one.oid) !== `${one.schema}.${one.table}`);
    const lost = uncovered(published, there).map((one) => one.oid);
    const strange = asked.filter((one) => !known.has(one.oid));
    const refused = new Map<number, TableProgress>();
    const taken: SourceTable[] = [];
    const obeyed = strange.length === 0 ? null : await obeyedBy(control, publication);
    for (const table of await describeTables(control, strange, config, obeyed)) {
      const why = await this.whyNot(control, table);
      if (why === null) taken.push(table);
      else
        refused.set(table.oid, {
          table: `${table.schema}.${table.table}`,
          ...{ state: 'refused', rows_done: 0, rows_estimated: table.estimatedRows, order: null, note: why },
        });
    }
    this.refused_ = refused;
    const { filled, ...partitions } = await this.lookAtPartitions(control, there);
    const membership = await memberships(control, publication);
    return { taken, lost: [...lost, ...filled], renamed, ...partitions, membership };
  }

  private async lookAtPartitions(control: Client, there: readonly Candidate[]) {
    const { filled, told, changed, accept } = await this.partitions.look(control, there.map((one) => one.oid)); // prettier-ignore
    for (const { oid, schema, table } of there) {
      const note = told.get(oid);
      if (note === undefined) continue;
      this.deps.log.warn({ streamId: this.deps.context.streamId, table: `${schema}.${table}` }, note);
      this.told_.set(oid, {
        table: `${schema}.${table}`,
        ...{ state: 'done', rows_done: 0, rows_estimated: null, order: null, note },
      });
    }
    // Without rows there is nothing to be read anew.
    return { filled: this.deps.config.snapshot === 'never' ? [] : filled, repartitioned: changed, accept };
  }

  /** Publishing a table without replica identity would break its owner's UPDATE and DELETE (trap 11). */
  private async whyNot(control: Client, table: SourceTable): Promise<string | null> {
    if (table.unidentified.length > 0)
      return `no_replica_identity: its changes can't be published. Add a primary key, or: ${identitySql([table])}`;
    const { refused } = lookAtExcluded(this.deps.config, table, this.deps.excluded.memory);
    if (refused !== null) return `${refused.code}: ${refused.message} ${refused.hint}`;
    try {
      const unsent = unlistedKeys([table]) ?? unsentKeys([table], (await serverOf(control)).version);
      if (unsent !== null) throw unsent;
      await this.deps.publish(control, [table]);
      return null;
    } catch (error) {
      if (!(error instanceof StreamError) || error.recourse !== 'fatal') throw error;
      return `${error.code}: ${error.message} ${error.hint}`;
    }
  }
}

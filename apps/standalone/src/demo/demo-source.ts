import type { TableComparison } from './compare.js';
import type { Shop } from './shop.js';

/** What the demo captures changes of: a server of its own with a shop in it. */
export interface DemoSource {
  /** Ends the server. */
  stop(): Promise<unknown>;
  /** Makes the tables. */
  openShop(): Promise<Shop>;
  /** `schema.name` each. */
  readonly tables: readonly string[];
  /** As `POST /api/connections` takes it. */
  readonly connection: { readonly type: string; readonly config: Readonly<Record<string, string | number>> };
  readonly sourceType: string;
  /** Of the stream, beside its tables. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What is to be known of the times of its changes, to be put behind them. */
  readonly aboutTimes: string;
  /** @param rows of the folded log: table → JSON texts of its rows */
  compare(rows: ReadonlyMap<string, readonly string[]>): Promise<TableComparison[]>;
}

/** @param sessions that write at once */
export type OpenSource = (sessions: number) => Promise<DemoSource>;

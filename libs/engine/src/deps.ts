import type {
  Check,
  Clock,
  CounterReport,
  Log,
  OnLostPosition,
  Owned,
  Positions,
  Seat,
  SetAside,
  Share,
  Sink,
  SnapshotOrders,
  Source,
  SpreadLedger,
  Steps,
  StreamLedger,
  StreamSpec,
} from '@planasonix/core';
import type { PumpLimits } from './pump-limits.js';

/** What a source is made with besides the stream's own data. */
export interface SourceExtras {
  readonly owned: Owned;
  readonly onLostPosition: OnLostPosition | null;
  /** Durable when it resolves. @throws StreamError `fenced` */
  remember(owned: Owned): Promise<void>;
  /** The positions as they were committed. @throws StreamError `store_unavailable` */
  abandoned(): Promise<Positions>;
  /** Counts and keeps records that are no events. Durable when it resolves. @throws StreamError `fenced` */
  setAside(records: readonly SetAside[]): Promise<void>;
  /** Closing one throws StreamError `fenced` for an owner whose epoch has passed. */
  readonly orders: SnapshotOrders;
}

/** What an attempt makes a source with. */
export interface SourceWishes extends SourceExtras {
  readonly share: Share;
  /** Where the log stands; empty where the user gave that up. */
  reached(): Promise<Positions>;
}

/** What the engine needs from outside; an app wires it once. */
export interface EngineDeps {
  readonly ledger: StreamLedger;
  /** Absent: each stream is read by one worker. */
  readonly spread?: SpreadLedger;
  /** The writing end of the stream's log, not yet opened. One for each attempt. */
  openSink(spec: StreamSpec, seat?: Seat): Sink;
  /** How the stream's log is, asked for a start. Never throws. Absent: its opening says it all. */
  checkLog?(spec: StreamSpec): Promise<readonly Check[]>;
  /** One for each attempt; closed by the engine. */
  createSource(spec: StreamSpec, wishes: SourceWishes): Source;
  readonly clock: Clock;
  readonly log: Log;
  /** 0 to 1; for jitter. */
  readonly random?: () => number;
  readonly pump?: Partial<PumpLimits>;
  /** Absent: nobody asks. */
  readonly step?: Steps;
}

/** Where counters go each second. Lossy: totals are absolute. */
export type ReportCounters = (reports: readonly CounterReport[]) => void;

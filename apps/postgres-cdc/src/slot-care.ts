import { StreamError, type Clock, type Lag, type Log, type Retention } from '@planasonix/core';
import type { Client } from 'pg';
import type { WalBudget } from './config.js';
import { parseLsn } from './decode/index.js';
import { AnotherServer } from './instance.js';
import { invalidated, whyInvalidated } from './slot.js';
import { WalRate } from './wal-rate.js';

/** What the server says of a slot, as far as its WAL goes. */
export interface SlotFacts {
  readonly head: bigint;
  /** What can be read of the WAL by now: a commit behind it is not durable at the source yet. */
  readonly flushed: bigint;
  /** `null`: it holds nothing. */
  readonly restart: bigint | null;
  /** Bytes until it is lost; `null`: no limit. */
  readonly safeBytes: number | null;
  /** Invalidated: it holds nothing any more, and is of no use. */
  readonly lost: boolean;
  /** `whyInvalidated` */
  readonly lostBy: string | null;
  readonly active: boolean;
  /** Whoever sends to its reader is at an end, and waits for the reader to take what it has to say of that. */
  readonly ending: boolean;
  /** Since when nobody reads it; `null` where the version does not tell (before 17), or somebody does. */
  readonly idleMs: number | null;
  /** Given up after so long without a reader (18); `null`: never. */
  readonly idleLimitMs: number | null;
}

/** Columns that a version lacks are absent. */
interface SlotRow {
  readonly restart_lsn: string | null;
  readonly safe_wal_size: number | null;
  readonly wal_status: string | null;
  readonly active: boolean;
  readonly invalidation_reason?: string | null;
  readonly conflicting?: boolean | null;
}

const FACTS = `
  SELECT to_jsonb(s)::text AS slot,
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text AS head,
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::text AS flushed,
    (SELECT wait_event FROM pg_catalog.pg_stat_activity a WHERE a.pid = s.active_pid) AS waits,
    (extract(epoch FROM clock_timestamp() - (to_jsonb(s) ->> 'inactive_since')::timestamptz) * 1000)::bigint AS idle,
    (SELECT setting::bigint * CASE unit WHEN 'min' THEN 60000 WHEN 's' THEN 1000 ELSE 1 END
     FROM pg_settings WHERE name = 'idle_replication_slot_timeout') AS idle_limit
  FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1`;

/** `null` where there is no such slot. */
export async function slotFacts(client: Client, slot: string): Promise<SlotFacts | null> {
  const { rows } = await client.query<
    Record<'slot' | 'head' | 'flushed', string> & Record<'waits' | 'idle' | 'idle_limit', string | null>
  >(FACTS, [slot]);
  const [row] = rows;
  if (row === undefined) return null;
  const seen = JSON.parse(row.slot) as SlotRow;
  const limit = Number(row.idle_limit ?? 0);
  return {
    head: parseLsn(row.head),
    flushed: parseLsn(row.flushed),
    restart: seen.restart_lsn === null ? null : parseLsn(seen.restart_lsn),
    safeBytes: seen.safe_wal_size,
    lost: seen.wal_status === 'lost' || (seen.invalidation_reason ?? null) !== null,
    lostBy: whyInvalidated(seen),
    active: seen.active,
    // With changes to send it waits in another place, and hears us.
    ending: row.waits === 'ClientWrite',
    idleMs: seen.active || row.idle === null ? null : Number(row.idle),
    idleLimitMs: limit > 0 ? limit : null,
  };
}

/** What a slot holds back, and when it will be lost: by what is written, or because nobody reads it. */
export function retention(facts: SlotFacts, bytesPerSecond: number | null, budgetBytes: number | null): Retention {
  const { head, restart, safeBytes, lost, active, idleMs, idleLimitMs } = facts;
  const heldBytes = lost || restart === null || restart > head ? 0 : Number(head - restart);
  const bytesToLoss = lost ? 0 : safeBytes === null ? null : Math.max(0, safeBytes);
  const byWriting =
    bytesToLoss === null
      ? null
      : bytesToLoss === 0
        ? 0
        : bytesPerSecond !== null && bytesPerSecond > 0
          ? Math.floor(bytesToLoss / bytesPerSecond)
          : null;
  const byIdling =
    active || lost || idleMs === null || idleLimitMs === null
      ? null
      : Math.max(0, Math.floor((idleLimitMs - idleMs) / 1000));
  const known = [byWriting, byIdling].filter((seconds) => seconds !== null);
  return { heldBytes, bytesToLoss, secondsToLoss: known.length === 0 ? null : Math.min(...known), budgetBytes };
}

const EVERY_MS = 10_000;
/** Under the budget again: this far below it, so that one at its edge does not fill the log. */
const CALM = 0.9;

/** What is remembered of a stream between looks, also where each look has a source of its own. */
interface Memory {
  readonly rate: WalRate;
  warned: boolean;
}

const MOST_REMEMBERED = 10_000;
const memories = new Map<string, Memory>();

function memoryOf(streamId: string): Memory {
  const memory = memories.get(streamId) ?? { rate: new WalRate(), warned: false };
  // The one that was looked at last stands last; the first goes when there are too many (Invariant 6).
  memories.delete(streamId);
  memories.set(streamId, memory);
  if (memories.size > MOST_REMEMBERED) memories.delete(memories.keys().next().value!);
  return memory;
}

export const gigabytes = (bytes: number): string =>
  bytes >= 1 << 30 ? `${(bytes / (1 << 30)).toFixed(1)} GB` : `${(bytes / (1 << 20)).toFixed(1)} MB`;

/** Of a question, or of a session for it. */
function shutsDown(error: unknown): boolean {
  const of = (one: unknown) => (one as { code?: unknown } | undefined)?.code;
  return [error, (error as Error).cause].some((one) => /^57P0[23]$/.test(String(of(one))));
}

export interface SlotCareDeps {
  readonly streamId: string;
  readonly slot: string;
  readonly budget: WalBudget | null;
  /** All that one look asks is asked there: an address may lead to another server for the next session (trap 6). */
  control(): Promise<Client>;
  /** `null` where there is no such slot. */
  facts(control: Client): Promise<SlotFacts | null>;
  /** The stream made the slot, at this very server: it may be given up. Anybody else's never is. Asked where it is to be. */
  ours(control: Client): Promise<boolean>;
  /** `false`: the user gave the position up, and the slot that is there is the one that went with it. */
  readonly begun: boolean;
  /** Of the stream's own reading, for as long as nothing is taken from the server; `null`: it is read, or nobody reads. */
  standing(): { hangUp(why?: StreamError): void } | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** Keeps an eye on what one stream's slot holds back. Looks by itself never more often than each 10 s. */
export class SlotCare {
  private readonly memory: Memory;
  private facts: SlotFacts | null = null;
  private gone = false;
  private factsAtMs = 0;
  private seen: Retention | null = null;
  private mine = false;
  private lookedAt = Number.NEGATIVE_INFINITY;
  private looking = false;
  private round = 0;
  private begun: boolean;

  constructor(private readonly deps: SlotCareDeps) {
    this.begun = deps.begun;
    this.memory = memoryOf(deps.streamId);
  }

  /** The lag, with what was last seen; without it while nothing is known, or where there is no slot. */
  along(lag: Lag): Lag {
    return this.seen === null ? lag : { ...lag, retention: this.seen };
  }

  /** How far the server's WAL went, and when it was asked (ms since the Unix epoch). */
  get head(): { readonly lsn: bigint; readonly atMs: number } | null {
    return this.facts === null ? null : { lsn: this.facts.flushed, atMs: this.factsAtMs };
  }

  /** Where the slot's WAL begins, as of the last look. */
  get restart(): bigint | null {
    return this.facts?.restart ?? null;
  }

  get overBudget(): boolean {
    const { budget } = this.deps;
    return budget !== null && this.seen !== null && this.seen.heldBytes > budget.bytes;
  }

  /** The user wants the slot to be given up rather than this, and it is the stream's own. */
  get toBeGivenUp(): boolean {
    return this.overBudget && this.deps.budget!.on_exceeded === 'release' && this.mine;
  }

  /**
   * Looks, and waits for the answer unless rows flow: a server that does not answer is the reader's business then. That its slot
   * is gone is not where the reader stands, and does not hear of it.
   * @throws StreamError `wal_budget_exceeded`, `slot_lost`
   */
  async watch(flowing: boolean): Promise<void> {
    const look = this.look();
    if (!flowing) await look;
    const { budget, slot } = this.deps;
    if (!this.begun) return;
    if (flowing && this.deps.standing() !== null) {
      if (this.gone) throw new StreamError('slot_lost', `The replication slot ${slot} is gone.`);
      if (this.facts?.lost) throw invalidated(slot, this.facts.lostBy);
    }
    if (!this.toBeGivenUp) return;
    throw new StreamError(
      'wal_budget_exceeded',
      `The replication slot ${slot} holds back ${gigabytes(this.seen!.heldBytes)} of WAL, more than the wal_budget of ${gigabytes(budget!.bytes)}: it is given up.`,
    );
  }

  /** The slot is settled: what was seen before may have been of another one, and does not count. */
  begin(): void {
    this.begun = true;
    this.round++;
    this.facts = null;
    this.gone = false;
    this.seen = null;
    this.mine = false;
    this.lookedAt = Number.NEGATIVE_INFINITY;
  }

  /** Looks, if it is time again. Never throws: what can't be asked is as it was. */
  async look(): Promise<void> {
    const { clock, budget } = this.deps;
    if (this.looking || clock.monotonic() - this.lookedAt < EVERY_MS) return;
    this.looking = true;
    const { round } = this;
    try {
      const askedAtMs = clock.now();
      const control = await this.deps.control();
      const facts = await this.deps.facts(control);
      if (round !== this.round) return;
      this.factsAtMs = askedAtMs;
      this.lookedAt = clock.monotonic();
      this.facts = facts;
      this.mine = false;
      this.gone = facts === null;
      if (facts?.ending) this.deps.standing()?.hangUp();
      if (facts !== null) this.memory.rate.note(facts.head, this.lookedAt);
      this.seen = facts === null ? null : retention(facts, this.memory.rate.bytesPerSecond, budget?.bytes ?? null);
      this.warn();
      if (!this.overBudget || budget!.on_exceeded !== 'release') return;
      const mine = await this.deps.ours(control);
      if (round === this.round) this.mine = mine;
    } catch (error) {
      // The reading side finds out what is wrong with the server, and says so. Where it stands it would keep a server from shutting down.
      // Of one that the address does not lead to any more nobody would hear that it wants to.
      if (error instanceof AnotherServer) this.deps.standing()?.hangUp(error);
      else if (shutsDown(error)) this.deps.standing()?.hangUp();
    } finally {
      this.looking = false;
    }
  }

  private warn(): void {
    const { budget, streamId, slot, log } = this.deps;
    if (budget === null || this.seen === null) return;
    const { heldBytes } = this.seen;
    if (heldBytes > budget.bytes && !this.memory.warned) {
      this.memory.warned = true;
      log.warn({ streamId, slot, heldBytes, budgetBytes: budget.bytes }, 'a slot holds back more WAL than its budget');
    } else if (heldBytes < budget.bytes * CALM) this.memory.warned = false;
  }
}

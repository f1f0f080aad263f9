import type { Owned, ReleaseReport, SourceContext } from '@planasonix/core';
import type { Client } from 'pg';
import { holdingsOf, ownedOf, type Holding, type Kind, type Place } from './holding.js';
import { releaseAtSource } from './release.js';
import type { Sessions } from './sessions.js';
import { serverOf } from './slot.js';
import { toStreamError } from './stream-error.js';

export interface HoldingsDeps {
  readonly context: Pick<SourceContext, 'streamId' | 'owned' | 'remember' | 'log' | 'sharers' | 'connection'>;
  readonly sessions: Sessions;
  /** Of the stream's sessions: its own reader is ended where it holds a slot, anybody else's is not. */
  readonly name: string;
}

const GIVE_BACK_MS = 10_000;
const NOTHING: ReleaseReport = { released: [], remaining: [] };

const called = ({ kind, name }: Holding): string => `${kind} ${name}`;

/** What one stream has made at its source, wherever that was, and has yet to give back (trap 33). */
export class Holdings {
  private all: readonly Holding[];
  private place: Place | null = null;

  constructor(private readonly deps: HoldingsDeps) {
    this.all = holdingsOf(deps.context.owned);
  }

  /** Where what comes now is made. */
  at(place: Place): void {
    this.place = place;
  }

  /** One of that name which the stream made, or began to, and uses; not one of the same name at another server. */
  owns(kind: Kind, name: string): boolean {
    return this.all.some((one) => one.now && one.kind === kind && one.name === name && !this.isElsewhere(one));
  }

  /** The same of the server that answers on `control`, which is asked who it is. @throws StreamError */
  async ownsHere(kind: Kind, name: string, control: Client): Promise<boolean> {
    const named = this.all.filter((one) => one.now && one.kind === kind && one.name === name);
    await this.settle(named, control);
    return this.owns(kind, name);
  }

  /** It is about to be made. What stood in its place stays on the list until it is given back. */
  async remember(kind: Kind, name: string): Promise<void> {
    const same = (one: Holding) => one.kind === kind && one.name === name && !this.isElsewhere(one);
    const others = this.all
      .filter((one) => !same(one))
      .map((one) => (one.kind === kind || this.isElsewhere(one) ? { ...one, now: false } : one));
    await this.keep([...others, { kind, name, place: this.place, now: true }]);
  }

  async release(options: { readonly force: boolean }, signal: AbortSignal): Promise<ReleaseReport> {
    return this.give(this.all, options, signal);
  }

  /**
   * A stream that reads rows alone from now on has nothing to follow: what it made for that is given back, for a slot that
   * nobody reads fills its server's disk. To be called once its position says so; what is left is tried at the next start.
   */
  giveBackUnread(): Promise<void> {
    return this.giveBack(this.all.filter((one) => one.now || one.place !== null));
  }

  /** A slot beside the one that is read holds back WAL for nobody. */
  giveBackUnused(slot: string): Promise<void> {
    // What was made before places were remembered may be another server's: somebody else's may have its name here.
    const unused = (one: Holding) => one.kind === 'slot' && one.name !== slot && one.place !== null;
    return this.giveBack(this.all.filter((one) => unused(one) && !this.isElsewhere(one)));
  }

  /** Never throws. */
  private async giveBack(some: readonly Holding[]): Promise<void> {
    if (some.length === 0) return;
    const { streamId, log } = this.deps.context;
    try {
      const { released, remaining } = await this.give(some, { force: false }, AbortSignal.timeout(GIVE_BACK_MS));
      const given = (one: Holding) => some.includes(one) && released.includes(called(one)) && !this.isElsewhere(one);
      await this.keep(this.all.filter((one) => !given(one)));
      if (remaining.length > 0)
        log.warn({ streamId, remaining }, 'what a stream has no use for could not be given back yet');
    } catch (error) {
      log.warn({ streamId, err: error }, 'what a stream has no use for could not be given back yet');
    }
  }

  private async give(
    some: readonly Holding[],
    { force }: { readonly force: boolean },
    signal: AbortSignal,
  ): Promise<ReleaseReport> {
    if (some.length === 0) return NOTHING;
    try {
      const client = await this.deps.sessions.control();
      await this.settle(some, client);
      const named = await this.namedByOthers();
      const spared = some.filter((one) => !this.isElsewhere(one) && named.has(called(one)));
      const here = some.filter((one) => !this.isElsewhere(one) && !spared.includes(one));
      const names = (kind: Kind) => here.filter((one) => one.kind === kind).map(({ name }) => name);
      const report = await releaseAtSource(
        { client, slots: names('slot'), publications: names('publication'), applicationName: this.deps.name, force },
        signal,
      );
      const elsewhere = some.filter((one) => this.isElsewhere(one));
      return { ...report, remaining: [...report.remaining, ...spared.map(inUse), ...elsewhere.map(outOfReach)] };
    } catch (error) {
      const { message: why } = toStreamError(error, 'giving back');
      return { released: [], remaining: some.map((one) => ({ what: called(one), why, code: 'source_unreachable' })) };
    }
  }

  /** What other streams name was there when they came, or they count on it: it stays for as long as they do. */
  private async namedByOthers(): Promise<ReadonlySet<string>> {
    const { sharers, connection } = this.deps.context;
    const names = ((await sharers?.()) ?? []).flatMap(({ config, database }) => [
      `slot ${String(config['slot_name'])}`,
      ...(database === connection?.config['database'] ? [`publication ${String(config['publication'])}`] : []),
    ]);
    return new Set(names);
  }

  /** Slots are the server's, publications the database's. What was made before places were remembered is taken to be here. */
  private isElsewhere({ kind, place }: Holding): boolean {
    const here = this.place;
    if (place === null || here === null) return false;
    return place.server !== here.server || (kind === 'publication' && place.database !== here.database);
  }

  /** What was made before places were remembered tells nothing of them. */
  private async settle(some: readonly Holding[], control: Client): Promise<void> {
    const { sessions } = this.deps;
    // Sessions of one that reads stay where `at` says; others may lead elsewhere than the last time.
    if (some.every(({ place }) => place === null) || (this.place !== null && sessions.instance !== null)) return;
    const { system_id: server } = await sessions.serverAt(control);
    this.place = { server, database: (await serverOf(control)).database };
  }

  private async keep(all: readonly Holding[]): Promise<void> {
    const owned: Owned = ownedOf(all);
    await this.deps.context.remember(owned);
    this.all = all;
  }
}

const inUse = (one: Holding): ReleaseReport['remaining'][number] => ({
  what: called(one),
  why: 'Another stream at this server names it in its config.',
  code: 'active_consumers',
});

const outOfReach = (one: Holding): ReleaseReport['remaining'][number] => ({
  what: called(one),
  why: `It was made in the database ${one.place?.database} of the server ${one.place?.server}, and the connection leads elsewhere now.`,
  code: 'source_unreachable',
});

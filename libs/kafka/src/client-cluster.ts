import { StreamError, type Clock } from '@planasonix/core';
import { CLIENT_ID, CONNECT_MS, type Call, type KafkaClient, type Link, type Reach } from './client.js';
import {
  commitCall,
  coordinatorCall,
  deleteGroupCall,
  describeGroupCall,
  metadataCall,
  newestEpoch,
  offsetsCall,
  type ClusterView,
  type GroupOffset,
  type LeaderAsk,
  type OffsetAsk,
  type OffsetEnd,
  type OffsetFound,
} from './client-requests.js';
import { addressText, type BrokerAddress } from './config.js';
import { KafkaError, lagging, MOVED, OLD_METADATA, toStreamError, UNKNOWN_LEADER_EPOCH } from './connection-error.js';
import { CLIENT } from './default-client.js';

export interface ClusterOptions extends Reach {
  readonly clock: Clock;
  /** Absent: `CLIENT`. */
  readonly client?: KafkaClient;
  /** How long an answer may take, by lane, ms. */
  readonly answerMs?: Partial<Readonly<Record<Lane, number>>>;
}

/** A broker answers one request of a connection after the other: what waits there has connections of its own. */
export type Lane = 'ask' | 'fetch' | 'produce';

/** How long an answer may take: a frozen broker keeps its connections open. A fetch may be held back by a quota. */
const ANSWER_MS = { ask: 6_000, fetch: 12_000, produce: 10_000 } as const satisfies Readonly<Record<Lane, number>>;
const SURE_MS = [200, 600, 1_200] as const;
const NO_SUCH_TOPIC = 3;
/** So long leaders are followed where brokers are slow to say who they are. */
const MOVED_MS = 10_000;
const RETRY_MS = [50, 100, 200, 400, 800, 1600, 3200] as const;

/**
 * Connections to the brokers of a cluster, and what can be asked of it. Every failure is a `StreamError`. Nothing is
 * created by asking. Closed once; then every request fails.
 */
export class KafkaCluster {
  readonly #links = new Map<string, Promise<Link>>();
  /** Those that were opened last, by lane and address. */
  readonly #opened = new Map<string, Link>();
  #known: ReadonlyMap<number, BrokerAddress> = new Map();
  #closed = false;
  /** Whose turn it is to be asked first. */
  #turn = 0;

  constructor(private readonly options: ClusterOptions) {}

  /** Who logs in; `null`: nobody does. */
  get user(): string | null {
    return this.options.settings.sasl?.username ?? null;
  }

  /**
   * @param topics `null`: all that the user may see
   * @throws StreamError `source_unreachable`, `auth_failed`, `tls_failed`, `host_forbidden`
   */
  async view(topics: readonly string[] | null): Promise<ClusterView> {
    const view = await this.#any(metadataCall(topics), 'asking for the topics');
    this.#known = view.brokers;
    return view;
  }

  /**
   * As `view`, and asks again for some seconds where one of `named` is not there: a broker that has just started may not know
   * it yet.
   */
  async sureView(
    topics: readonly string[] | null,
    named: readonly string[],
    signal: AbortSignal,
  ): Promise<ClusterView> {
    for (const wait of [...SURE_MS, null]) {
      const view = await this.view(topics);
      const there = (name: string) => view.topics.some(({ topic, error }) => topic === name && error !== NO_SUCH_TOPIC);
      if (wait === null || named.every(there) || !(await this.options.clock.sleep(wait, signal))) return view;
    }
    return this.view(topics);
  }

  /** As `view`, with what the user may do with each topic. */
  rights(topics: readonly string[]): Promise<ClusterView> {
    return this.#any(metadataCall(topics, true), 'asking for what may be done with the topics');
  }

  /** The highest version that a broker speaks of an API; -1: none. */
  async highest(apiKey: number): Promise<number> {
    return this.#anyLink('asking for the versions', (link) => Promise.resolve(link.highest(apiKey)));
  }

  /** Whose turn it is to tell who leads: to be taken before `view`, for `doubt`. */
  get turn(): number {
    return this.#turn;
  }

  /**
   * Who leads is not what was told in that turn: another broker is asked first from now on. That one may be cut off from its
   * controllers for long. Of a turn that is over nothing is to be doubted any more.
   */
  doubt(turn: number): void {
    if (turn === this.#turn) this.#turn++;
  }

  /** Each broker that the cluster names is dialled. @returns what is wrong with those that can't be. */
  async probe(): Promise<readonly { readonly broker: string; readonly error: StreamError }[]> {
    const found = await Promise.all(
      [...this.#known.values()].map(async (address) => {
        try {
          await this.#link(address, 'ask');
          return null;
        } catch (error) {
          return { broker: addressText(address), error: toStreamError(error, `dialling ${addressText(address)}`) };
        }
      }),
    );
    return found.filter((one) => one !== null);
  }

  /** Offsets by time, each from its leader. Leaders that move meanwhile are followed for some seconds. */
  async offsets(asks: readonly OffsetAsk[], signal: AbortSignal, end: OffsetEnd = 'decided'): Promise<OffsetFound[]> {
    const found: OffsetFound[] = [];
    let open = asks;
    let moved: readonly OffsetFound[] = [];
    const until = this.options.clock.monotonic() + MOVED_MS;
    for (const wait of [...RETRY_MS, null]) {
      const turn = this.#turn;
      const view = await this.view([...new Set(open.map(({ topic }) => topic))]);
      const answers = await this.#askLeaders(view, open, end);
      found.push(...answers.filter(({ error }) => !MOVED.has(error)));
      moved = answers.filter(({ error }) => MOVED.has(error));
      if (moved.length === 0) return found;
      if (moved.some((one) => OLD_METADATA.has(one.error))) this.doubt(turn);
      open = open.filter((ask) => moved.some((one) => one.topic === ask.topic && one.partition === ask.partition));
      if (wait === null || this.options.clock.monotonic() > until) break;
      if (!(await this.options.clock.sleep(wait, signal))) break;
    }
    signal.throwIfAborted();
    const { topic, partition, error } = moved[0]!;
    const name = `${topic}/${partition}`;
    if (error === UNKNOWN_LEADER_EPOCH) throw lagging(name);
    throw new StreamError('source_unreachable', `No broker leads ${name}.`);
  }

  async #askLeaders(view: ClusterView, asks: readonly OffsetAsk[], end: OffsetEnd): Promise<OffsetFound[]> {
    const leaders = new Map<number, LeaderAsk[]>();
    const found: OffsetFound[] = [];
    for (const ask of asks) {
      const topic = view.topics.find((one) => one.topic === ask.topic);
      const leader = topic?.partitions.find(({ partition }) => partition === ask.partition)?.leader ?? -1;
      const error = topic?.error === 0 ? 5 : (topic?.error ?? 3);
      if (leader < 0) found.push({ ...ask, error, offset: -1, leaderEpoch: -1 });
      else {
        const currentEpoch = newestEpoch(topic, ask.partition, ask.read);
        leaders.set(leader, [...(leaders.get(leader) ?? []), { ...ask, currentEpoch }]);
      }
    }
    const answers = await Promise.all(
      [...leaders].map(async ([node, wanted]) => {
        try {
          return await this.send(node, 'ask', offsetsCall(wanted, end));
        } catch (error) {
          const failure = toStreamError(error, 'asking for offsets');
          if (failure.code !== 'source_unreachable') throw failure;
          return wanted.map((ask): OffsetFound => ({ ...ask, error: 13, offset: -1, leaderEpoch: -1 }));
        }
      }),
    );
    return [...found, ...answers.flat()];
  }

  /** For other people's tools. A group with members refuses it. @throws StreamError */
  async commit(group: string, offsets: readonly GroupOffset[]): Promise<void> {
    if (offsets.length > 0) await this.#coordinator(group, commitCall(group, offsets), 'committing to the group');
  }

  /** `false`: there was none. @throws StreamError; `KafkaError` 68 as its cause where it has members. */
  async deleteGroup(group: string): Promise<boolean> {
    try {
      await this.#coordinator(group, deleteGroupCall(group), 'deleting the group');
      return true;
    } catch (error) {
      if (error instanceof StreamError && error.cause instanceof KafkaError && error.cause.code === 69) return false;
      throw error;
    }
  }

  /** `Empty`, `Stable`, …; `Dead`: there is none. */
  groupState(group: string): Promise<string> {
    return this.#coordinator(group, describeGroupCall(group), 'looking at the group');
  }

  async #coordinator<R>(group: string, call: Call<R>, doing: string): Promise<R> {
    for (const wait of [...RETRY_MS.slice(0, 6), null]) {
      try {
        const at = await this.#any(coordinatorCall(group), doing);
        return await (await this.#link(at, 'ask')).send(call);
      } catch (error) {
        const moved = error instanceof KafkaError && MOVED.has(error.code);
        const looking =
          error instanceof StreamError && error.cause instanceof KafkaError && MOVED.has(error.cause.code);
        if (wait === null || !(moved || looking)) throw toStreamError(error, doing);
        await this.options.clock.sleep(wait);
      }
    }
    throw new StreamError('source_unreachable', `Failed while ${doing}.`);
  }

  /** One request to one node. @throws what the broker or the network says. */
  async send<R>(node: number, lane: Lane, call: Call<R>): Promise<R> {
    const address = this.#known.get(node);
    if (address === undefined) throw new StreamError('source_unreachable', `Broker ${node} is not in the cluster.`);
    return (await this.#link(address, lane)).send(call);
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values())
      void link.then(
        (one) => one.close(),
        () => undefined,
      );
    this.#links.clear();
  }

  #any<R>(call: Call<R>, doing: string): Promise<R> {
    return this.#anyLink(doing, (link) => link.send(call));
  }

  /** The brokers that are known, then those that the user named. What is refused for good is not tried elsewhere. */
  async #anyLink<R>(doing: string, use: (link: Link) => Promise<R>): Promise<R> {
    const addresses = new Map(
      [...this.#known.values(), ...this.options.settings.brokers].map((one) => [addressText(one), one]),
    );
    let failure: StreamError | null = null;
    const all = [...addresses.values()];
    const turn = this.#turn % all.length;
    for (const address of [...all.slice(turn), ...all.slice(0, turn)]) {
      try {
        return await use(await this.#link(address, 'ask'));
      } catch (error) {
        const found = toStreamError(error, `${doing} at ${addressText(address)}`);
        if (found.code === 'auth_failed' || found.code === 'permission_denied') throw found;
        failure ??= found;
        // One broker that may not be dialled says more than others that do not answer.
        if (found.recourse === 'fatal' && failure.recourse !== 'fatal') failure = found;
      }
    }
    throw failure ?? new StreamError('config_invalid', 'The connection names no broker.');
  }

  async #link(address: BrokerAddress, lane: Lane): Promise<Link> {
    if (this.#closed) throw new StreamError('source_unreachable', 'The connection was closed.');
    const name = `${lane} ${addressText(address)}`;
    const there = this.#links.get(name);
    if (there) {
      const link = await there.catch(() => null);
      if (link?.open) return link;
      if (this.#links.get(name) !== there) return this.#link(address, lane);
    }
    const { settings, outbound, log, answerMs, client = CLIENT } = this.options;
    const opening = client.open(address, {
      ...{ settings, outbound, log, clientId: CLIENT_ID },
      ...{
        connectMs: CONNECT_MS,
        requestMs: answerMs?.[lane] ?? ANSWER_MS[lane],
        onSilence: () => this.#hangUp(address),
      },
    });
    this.#links.set(name, opening);
    opening.catch(() => {
      if (this.#links.get(name) === opening) this.#links.delete(name);
    });
    const link = await opening;
    if (this.#closed) link.close();
    else this.#opened.set(name, link);
    return link;
  }

  /** What is silent at one connection is silent at the others to it: none of them waits out a time of its own. */
  #hangUp(address: BrokerAddress): void {
    for (const lane of Object.keys(ANSWER_MS)) this.#opened.get(`${lane} ${addressText(address)}`)?.close();
  }
}

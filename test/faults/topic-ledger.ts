/** What the producers of a topic know of their records, and the judge who goes by it, by the topic and by the log. */
import type { Charge, Charges } from './oracle.js';
import type { Read } from './scene-log.js';
import type { TopicPlace, TopicRecord } from './topic-records.js';

/**
 * - `sent`: its producer does not know yet
 * - `kept`: acknowledged, or committed with its transaction
 * - `aborted`: with its transaction
 * - `unknown`: nobody was told; the topic has it, or has it not
 */
type Fate = 'sent' | 'kept' | 'aborted' | 'unknown';

interface Known {
  readonly record: TopicRecord;
  /** ms */
  readonly sentAt: number;
  fate: Fate;
  offset: number | null;
  seen: boolean;
  /** The topic does not have it any more. */
  gone: boolean;
}

/** A record as another client reads it in the topic, committed ones alone. */
export interface Found {
  readonly id: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

interface Arrival {
  readonly sentAt: number;
  readonly durableAt: number;
}

const PLACE = /^(?<topic>.*)\/(?<topicId>[0-9a-f]{32})\/(?<partition>\d+)\/(?<offset>\d+)$/;
const ID = /"headers":\[\["id","(?<id>[^"]*)","text"\]/;

const nothing = (): Record<Charge, string[]> => ({ lost: [], phantom: [], torn: [], repeated: [], wrong: [] });
const nameOf = ({ topic, making, partition }: TopicPlace): string => `${topic} ${making}/${partition}`;

export interface TopicFindings extends Charges {
  readonly events: number;
  /** Requests and transactions that brought them. */
  readonly shipments: number;
  readonly excused: number;
}

/** Exactly once by its place, what was committed and nothing else, byte by byte, in the order of each partition. Traps 23 to 25a */
export class TopicLedger {
  readonly #known = new Map<string, Known>();
  readonly #done = new Set<string>();
  /** Partition of a topic, by its id → the offset that came to the log last. */
  readonly #last = new Map<string, number>();
  /** Making of a topic → its id. */
  readonly #topicIds = new Map<string, string>();
  #arrivals = new Map<string, Arrival[]>();
  #found = nothing();
  #events = 0;
  #shipments = 0;

  sending(records: readonly TopicRecord[]): void {
    for (const record of records)
      this.#known.set(record.id, {
        ...{ record, sentAt: Date.now(), fate: 'sent', offset: null, seen: false, gone: false },
      });
  }

  /** @param base the offset that the broker gave the first of them */
  placed(records: readonly TopicRecord[], base: number): void {
    for (const [i, { id }] of records.entries()) this.#known.get(id)!.offset = base + i;
  }

  decided(records: readonly TopicRecord[], fate: Exclude<Fate, 'sent'>): void {
    if (fate === 'kept') this.#shipments++;
    for (const { id } of records) {
      const known = this.#known.get(id)!;
      known.fate = fate;
      if (fate === 'aborted' && known.seen) this.charge('phantom', `${id} was aborted`);
    }
  }

  /** Nobody can read these any more: where that was told, they need not come. */
  gone(place: TopicPlace, before = Infinity): void {
    for (const known of this.#known.values())
      if (nameOf(known.record) === nameOf(place) && (known.offset ?? Infinity) <= before - 1) known.gone = true;
  }

  charge(charge: Charge, what: string): void {
    this.#found[charge].push(what.slice(0, 300));
  }

  /** @param read what has come to the log since the last call */
  take(read: readonly Read[]): void {
    for (const one of read) this.#takeOne(one);
  }

  /** What the topic holds: it has the word on records of which nobody was told. */
  holds(found: readonly Found[]): void {
    for (const { id, topic, partition, offset } of found) {
      const known = this.#known.get(id);
      if (known === undefined) continue;
      const at = `${topic}/${partition} at ${offset}`;
      if (known.fate === 'aborted') throw new Error(`the topic has ${id} (${at}), which was aborted`);
      if (known.offset !== null && known.offset !== offset) throw new Error(`the topic has ${id} twice, at ${at}`);
      [known.fate, known.offset] = ['kept', offset];
    }
  }

  /** How many were kept and are not in the log. @param told those that are gone need not come */
  missing(told: boolean): number {
    return [...this.#known.values()].filter(({ fate, seen, gone }) => fate === 'kept' && !seen && !(gone && told))
      .length;
  }

  /**
   * When the first record was durable that was sent after `since`, in the partition where that was last, ms; `null`: one of
   * them has had none yet.
   */
  wentOn(since: number, places: readonly TopicPlace[]): number | null {
    const first = places.map((place) => this.#arrivals.get(nameOf(place))?.find(({ sentAt }) => sentAt > since));
    return first.some((one) => one === undefined) ? null : Math.max(...first.map((one) => one!.durableAt));
  }

  /** Everything was decided and waited for: what is not there is lost. Begins a new account. @param told that something is gone */
  judge(told: boolean): TopicFindings {
    let excused = 0;
    for (const [id, { record, fate, offset, seen, gone }] of this.#known) {
      if (seen) this.#done.add(id);
      else if (fate === 'kept' && gone && told) excused++;
      else if (fate === 'kept') this.charge('lost', `${id} of ${nameOf(record)} at ${String(offset)}`);
      // Of what nobody was told may still come.
      if (fate !== 'unknown' || seen || gone) this.#known.delete(id);
    }
    const findings = { ...this.#found, events: this.#events, shipments: this.#shipments, excused };
    this.#found = nothing();
    this.#arrivals = new Map();
    [this.#events, this.#shipments] = [0, 0];
    return findings;
  }

  #takeOne({ event, durableAt }: Read): void {
    this.#events++;
    const { topic = '', topicId = '', partition = '', offset = '' } = PLACE.exec(event.id)?.groups ?? {};
    const id = ID.exec(event.text)?.groups?.['id'] ?? '';
    this.#order(`${topic}/${topicId}/${partition}`, Number(offset), id);
    const known = this.#known.get(id);
    if (known === undefined)
      return this.charge(
        this.#done.has(id) ? 'repeated' : 'phantom',
        `${event.id} (${id}) ${event.text.slice(0, 100)}`,
      );
    const { record, sentAt, seen } = known;
    if (seen) return this.charge('repeated', `${event.id} (${id})`);
    known.seen = true;
    if (known.fate === 'aborted') this.charge('phantom', `${event.id} (${id}) was aborted`);
    const wanted = `${record.topic}/${this.#topicId(record, topicId)}/${record.partition}/${known.offset ?? offset}`;
    if (event.id !== wanted) this.charge('wrong', `${id} is ${event.id} in place of ${wanted}`);
    const wrong = this.#difference(record, event, Number(offset));
    if (wrong !== null) this.charge('wrong', `${event.id} (${id}): ${wrong}`);
    this.#arrived(nameOf(record), { sentAt, durableAt });
  }

  #arrived(place: string, arrival: Arrival): void {
    const there = this.#arrivals.get(place);
    if (there === undefined) this.#arrivals.set(place, [arrival]);
    else there.push(arrival);
  }

  #order(partition: string, offset: number, id: string): void {
    const last = this.#last.get(partition) ?? -1;
    if (offset <= last) this.charge('wrong', `order: ${partition} has ${offset} (${id}) after ${last}`);
    this.#last.set(partition, Math.max(last, offset));
  }

  /** Of a topic that is made anew it is another one. */
  #topicId({ topic, making }: TopicRecord, seen: string): string {
    const at = `${topic} ${making}`;
    const known = this.#topicIds.get(at);
    if (known !== undefined) return known;
    const isTaken = [...this.#topicIds.values()].includes(seen);
    if (!isTaken) this.#topicIds.set(at, seen);
    return isTaken ? 'another id' : seen;
  }

  /** `null`: it is the record that was sent. */
  #difference(
    record: TopicRecord,
    { text, subject, partitionkey, time }: Read['event'],
    offset: number,
  ): string | null {
    const { topic, partition, timestamp } = record;
    const source = `"source":{"topic":"${topic}","partition":${partition},"offset":${offset},"timestamp":${timestamp},`;
    const wanted = record.text + source;
    if (!text.startsWith(wanted)) {
      const from = Math.max(0, [...wanted].findIndex((char, i) => text[i] !== char) - 20);
      return `…${text.slice(from, from + 100)}… in place of …${wanted.slice(from, from + 100)}…`;
    }
    const [is, as] = [
      [subject, partitionkey, time],
      [topic, record.partitionkey, new Date(timestamp).toISOString()],
    ];
    return is.join(' ') === as.join(' ') ? null : `${is.join(' ')} in place of ${as.join(' ')}`;
  }
}

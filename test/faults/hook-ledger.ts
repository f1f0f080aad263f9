/** What the senders of webhooks know of their deliveries, and the judge who goes by it and by the log alone. */
import type { LogEvent } from '../log.js';
import type { Charge, Charges } from './oracle.js';

/** One delivery: a JSON array whose elements become an event each, all of them or none. */
export interface Delivery {
  /** The sender's own id, which all of its tries have. */
  readonly id: string;
  readonly sender: string;
  /** Grows with each delivery of the sender. */
  readonly n: number;
  /** JSON texts, as they have to stand in the log. */
  readonly parts: readonly string[];
}

interface Known {
  readonly delivery: Delivery;
  /** Nothing may ever come of it. */
  readonly forged: boolean;
  /** When it was sent first, and first answered 2xx, ms; `null`: not yet. */
  readonly sentAt: number;
  confirmedAt: number | null;
  /** How many of its parts the log has so far. */
  found: number;
}

const PART = /^(?<delivery>.*)\/(?<part>\d+)$/;

const nothing = (): Record<Charge, string[]> => ({ lost: [], phantom: [], torn: [], repeated: [], wrong: [] });

export interface HookFindings extends Charges {
  readonly events: number;
  readonly deliveries: number;
}

/** Exactly once by id, whole, as it was sent, and in each sender's order; nothing that nobody has proved. Traps 28 to 31 */
export class HookLedger {
  readonly #known = new Map<string, Known>();
  readonly #done = new Set<string>();
  /** Sender → the number of what came to the log last. */
  readonly #last = new Map<string, number>();
  #open: Known | null = null;
  #found = nothing();
  #events = 0;
  #deliveries = 0;

  constructor(private readonly streamId: string) {}

  sending(delivery: Delivery, forged = false): void {
    this.#known.set(this.#idOf(delivery.id), { delivery, forged, sentAt: Date.now(), confirmedAt: null, found: 0 });
  }

  /** @param told the id that the answer has */
  confirmed(id: string, told: unknown): void {
    const at = this.#idOf(id);
    const one = this.#known.get(at);
    if (one === undefined) return;
    one.confirmedAt ??= Date.now();
    if (one.forged) this.charge('phantom', `${id} was forged and confirmed`);
    else if (told !== at) this.charge('wrong', `${id} was confirmed as ${String(told)}`);
  }

  /** How many have been confirmed since the last verdict. */
  get confirmations(): number {
    return [...this.#known.values()].filter(({ confirmedAt, forged }) => confirmedAt !== null && !forged).length;
  }

  /** How many were confirmed and have not come to the log. */
  get missing(): number {
    return [...this.#known.values()].filter(
      ({ confirmedAt, forged, found }) => confirmedAt !== null && !forged && found === 0,
    ).length;
  }

  /** When the first delivery was confirmed that was sent after `ms`. */
  confirmedAfter(ms: number): number | null {
    const times = [...this.#known.values()].flatMap(({ sentAt, confirmedAt }) =>
      sentAt > ms && confirmedAt !== null ? [confirmedAt] : [],
    );
    return times.length === 0 ? null : Math.min(...times);
  }

  charge(charge: Charge, what: string): void {
    this.#found[charge].push(what.slice(0, 300));
  }

  /** @param events what has come to the log since the last call */
  take(events: readonly LogEvent[]): void {
    for (const event of events) this.#takeOne(event);
  }

  /** Everything was confirmed and read: what is not there is lost. Begins a new account. */
  judge(): HookFindings {
    this.#close();
    for (const { delivery, forged, confirmedAt, found } of this.#known.values())
      if (!forged && found === 0 && confirmedAt !== null) this.charge('lost', `${delivery.id} was confirmed`);
    for (const [id, { found }] of this.#known) if (found > 0) this.#done.add(id);
    this.#known.clear();
    const findings = { ...this.#found, events: this.#events, deliveries: this.#deliveries };
    this.#found = nothing();
    [this.#events, this.#deliveries] = [0, 0];
    return findings;
  }

  #takeOne({ id, partitionkey, text }: LogEvent): void {
    this.#events++;
    const { delivery = '', part = '' } = PART.exec(id)?.groups ?? {};
    const known = this.#known.get(delivery);
    if (known === undefined)
      return this.charge(this.#done.has(delivery) ? 'repeated' : 'phantom', `${id} ${text.slice(0, 100)}`);
    if (known.forged) return this.charge('phantom', `${id} was forged`);
    if (this.#open !== known) {
      this.#close();
      this.#open = known;
      this.#begin(known, partitionkey);
    }
    const { sender, parts } = known.delivery;
    if (known.found >= parts.length) return this.charge('repeated', id);
    if (Number(part) !== known.found) this.charge('torn', `${id} is its event ${known.found}`);
    if (partitionkey !== sender) this.charge('wrong', `${id} has the key ${partitionkey} in place of ${sender}`);
    if (!text.startsWith(`{"body":${parts[known.found]!},"body_encoding":"json",`))
      this.charge('wrong', `${id} is ${text.slice(0, 200)} in place of ${parts[known.found]!}`);
    known.found++;
  }

  /** A sender sends the next one when the last one was confirmed. */
  #begin({ delivery, found }: Known, partitionkey: string): void {
    if (found > 0) return this.charge('repeated', `${delivery.id} once more, or in pieces`);
    this.#deliveries++;
    const before = this.#last.get(partitionkey);
    if (before !== undefined && before >= delivery.n)
      this.charge('wrong', `${delivery.id} is behind number ${before} of its sender`);
    this.#last.set(partitionkey, delivery.n);
  }

  #close(): void {
    const open = this.#open;
    this.#open = null;
    if (open !== null && open.found < open.delivery.parts.length)
      this.charge('torn', `${open.delivery.id}: ${open.found} of ${open.delivery.parts.length} events`);
  }

  #idOf(id: string): string {
    return `${this.streamId}/${id}`;
  }
}

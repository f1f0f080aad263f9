/** Senders of webhooks: each sends one delivery after the other, and each of them until it was answered 2xx. */
import { createHmac } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Delivery, HookLedger } from './hook-ledger.js';
import { random, type Random, type Seed } from './random.js';

/** A door that says nothing for so long has to be asked again. */
const PATIENCE_MS = 5_000;
const AGAIN_MS = 20;
const PACE_MS = 4;
const MOST_PARTS = 4;
/** What a sender does besides. */
const TWINS = 0.1;
const REPEATS = 0.05;
const FORGED = 0.05;

export interface HookLoadDeps {
  readonly ledger: HookLedger;
  readonly seed: number;
  readonly senders: number;
  readonly secret: string;
  /** Of the stream, at each of the doors. */
  readonly urls: readonly string[];
}

/** All senders of a scene, paused and resumed together. */
export class HookLoad {
  readonly #senders: readonly Sender[];

  constructor(deps: HookLoadDeps) {
    this.#senders = Array.from({ length: deps.senders }, (_, i) => new Sender(`sender-${i}`, deps));
  }

  /** What comes from here on is a function of this seed. */
  reseed(seed: Seed): void {
    for (const sender of this.#senders) sender.reseed(seed);
  }

  resume(): void {
    for (const sender of this.#senders) sender.resume();
  }

  /** @returns once all that was begun is confirmed */
  async pause(): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender.pause()));
  }

  /** The load goes on for a while: the moment of a fault is a moment of the load. */
  goOn(ms: number): Promise<void> {
    return wait(ms);
  }

  /** What is not confirmed stays so. */
  async stop(): Promise<void> {
    await Promise.all(this.#senders.map((sender) => sender.stop()));
  }
}

class Sender {
  #rng: Random;
  readonly #stopping = new AbortController();
  #paused = true;
  #running: Promise<void> = Promise.resolve();
  #n = 0;

  constructor(
    private readonly name: string,
    private readonly deps: HookLoadDeps,
  ) {
    this.#rng = random(deps.seed, name);
  }

  reseed(seed: Seed): void {
    this.#rng = random(seed, this.name);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#running = this.#running.then(() => this.#run());
  }

  pause(): Promise<void> {
    this.#paused = true;
    return this.#running;
  }

  stop(): Promise<void> {
    this.#stopping.abort();
    return this.pause();
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#paused) {
      if (this.#rng.chance(FORGED)) await this.#forge();
      await this.#deliver(this.#next());
      await wait(PACE_MS);
    }
  }

  /** Sent until it is confirmed; at times to all doors at once, or once more although it was confirmed. */
  async #deliver(delivery: Delivery): Promise<void> {
    const { ledger, urls } = this.deps;
    const [twins, repeats] = [this.#rng.chance(TWINS), this.#rng.chance(REPEATS)];
    ledger.sending(delivery);
    for (let confirmed = false; !confirmed && !this.#stopped;) {
      const doors = twins ? urls : [this.#rng.pick(urls)];
      const told = await Promise.all(doors.map((url) => this.#try(url, delivery, this.deps.secret)));
      confirmed = told.includes(true);
      if (!confirmed) await wait(AGAIN_MS);
    }
    if (repeats) await this.#try(this.#rng.pick(urls), delivery, this.deps.secret);
  }

  async #forge(): Promise<void> {
    const delivery = this.#next();
    this.deps.ledger.sending(delivery, true);
    await this.#try(this.#rng.pick(this.deps.urls), delivery, `not ${this.deps.secret}`);
  }

  #next(): Delivery {
    const n = ++this.#n;
    const pad = 'x'.repeat(this.#rng.between(0, 800));
    // Digits and white space that a parser would not give back.
    const part = (i: number) => `{"sender":"${this.name}", "n":${n},"i":${i},"large":9007199254740993,"pad":"${pad}"}`;
    const parts = Array.from({ length: this.#rng.between(1, MOST_PARTS) }, (_, i) => part(i));
    return { id: `${this.name}.${n}`, sender: this.name, n, parts };
  }

  /** @returns whether it was confirmed */
  async #try(url: string, { id, parts }: Delivery, secret: string): Promise<boolean> {
    const body = `[${parts.join(',')}]`;
    const at = String(Math.floor(Date.now() / 1000));
    const mac = createHmac('sha256', secret).update(`${at}.${body}`).digest('hex');
    const headers = {
      'content-type': 'application/json',
      'x-planasonix-event-id': id,
      'x-planasonix-timestamp': at,
      'x-planasonix-signature': `v1=${mac}`,
    };
    // Not `AbortSignal.timeout` with `AbortSignal.any`: Node 20 collects the former as garbage, and it never fires.
    const over = new AbortController();
    const end = () => over.abort();
    const timer = setTimeout(end, PATIENCE_MS);
    this.#stopping.signal.addEventListener('abort', end);
    try {
      const answer = await fetch(url, { method: 'POST', body, headers, signal: over.signal });
      if (!answer.ok) {
        await answer.arrayBuffer();
        return false;
      }
      const { id: told } = (await answer.json()) as { readonly id?: unknown };
      this.deps.ledger.confirmed(id, told);
      return true;
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
      this.#stopping.signal.removeEventListener('abort', end);
    }
  }
}

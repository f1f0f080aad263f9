import { StreamError, type ChangeEvent } from '@planasonix/core';
import type { Redis } from 'ioredis';
import { encodeAppend, encodeTransaction, WireCommand, type TransactionWire } from './append-command.js';
import { BufferPool } from './buffer-pool.js';
import { borrowedKey, eventsKey, logKey } from './keys.js';
import { APPEND, TAKE_BACK, TRANSACT } from './scripts.js';

/** A batch as it goes to Redis: one call of APPEND, or a transaction. */
export type AppendWire = Buffer | TransactionWire;

/**
 * Where both cost Redis the same, by `append.bench.ts`: fewer events are cheaper in one call of a script, more in a
 * transaction.
 */
export const TRANSACTION_FROM = 64;

const isCall = (wire: AppendWire): wire is Buffer => Buffer.isBuffer(wire);

/** Batches on their way into the log of one stream, on one connection. */
export class Appends {
  readonly #pool = new BufferPool();
  readonly #take = (bytes: number) => this.#pool.take(bytes);
  readonly #source: string;
  readonly #keys: readonly [string, string, string];
  /** Resolves when all of a transaction was answered: then none of its bytes wait to be sent. */
  readonly #sent = new WeakMap<TransactionWire, Promise<unknown>>();
  /** Resolves when the last answer has been told. */
  #told: Promise<unknown> = Promise.resolve();
  #append = '';
  #transact: string | null = null;

  /** @param transactionFrom batches of so many events are transactions */
  constructor(
    private readonly redis: Redis,
    streamId: string,
    private readonly transactionFrom: number,
  ) {
    this.#source = `/streams/${streamId}`;
    this.#keys = [eventsKey(streamId), logKey(streamId), borrowedKey(streamId)];
  }

  /** Gives Redis the scripts, and asks whether it carries out all that a transaction needs: not every proxy, or user, may. */
  async load(): Promise<void> {
    const [key, , borrowed] = this.#keys;
    this.#append = String(await this.redis.script('LOAD', APPEND));
    // With replies off a refusal is not heard. Of a key that is not there RENAME is refused when its turn comes, and not before.
    const asked = this.redis
      .multi()
      .client('REPLY', 'ON')
      .rename(borrowed, borrowed)
      .xrevrange(key, '+', '-', 'COUNT', 1)
      .eval(TAKE_BACK, 3, ...this.#keys);
    const able = await asked.exec().then(
      (answers) => answers?.[0]?.[1] === 'OK' && answers[2]?.[0] === null && answers[3]?.[1] === 1,
      () => false,
    );
    this.#transact = able ? String(await this.redis.script('LOAD', TRANSACT)) : null;
  }

  /** @param args those of APPEND from the epoch to the writer field */
  encode(args: readonly string[], events: readonly ChangeEvent[]): AppendWire {
    if (this.#transact === null || events.length < Math.max(this.transactionFrom, 1))
      return encodeAppend({ sha: this.#append, keys: this.#keys.slice(0, 2), args }, events, this.#take);
    return encodeTransaction({ sha: this.#transact, keys: this.#keys, args }, this.#source, events, this.#take);
  }

  /** Answers are told in the order of what was sent. @param wire may be sent again where it was refused. @returns [answer, total events, total bytes, dropped] */
  send(wire: AppendWire): Promise<number[]> {
    const answer = isCall(wire) ? (this.#send('evalsha', wire) as Promise<number[]>) : this.#transaction(wire);
    // Answers that come at once would be told in the order of how many promises they go through.
    answer.catch(() => undefined);
    const inTurn = this.#told.then(() => answer);
    this.#told = inTurn.catch(() => undefined);
    return inTurn;
  }

  #transaction(wire: TransactionWire): Promise<number[]> {
    const { stream } = this.redis;
    stream.cork();
    const begun = this.#send('multi', wire.events);
    const ended = this.#send('exec', wire.end);
    const after = Promise.all([begun, this.#send('client', wire.after), this.#send('evalsha', wire.why)]);
    stream.uncork();
    this.#sent.set(wire, after);
    return new Promise((resolve, reject) => {
      begun.catch(reject);
      after.catch(reject);
      // One that Redis gave up has no answer of its own: what comes next is the reason.
      ended.then((answer) => {
        if (Array.isArray(answer)) resolve(answer as number[]);
        else reject(new StreamError('log_unavailable', 'Redis gave up a transaction'));
      }, reject);
    });
  }

  /** One that was answered is not sent again: its bytes are used anew. */
  release(wire: AppendWire): void {
    if (isCall(wire)) this.#pool.give(wire);
    // The answer may be there while what follows it in the same bytes still waits to be sent.
    else
      void this.#sent.get(wire)?.then(
        () => this.#pool.give(wire.events),
        () => undefined,
      );
  }

  #send(name: string, wire: Buffer): Promise<unknown> {
    return this.redis.sendCommand(new WireCommand(name, wire)) as Promise<unknown>;
  }
}

import type { ChangeEvent } from '@planasonix/core';
import { Command } from 'ioredis';

/** One call of a script of the log; the arguments are those that come before the events. */
export interface ScriptCall {
  readonly sha: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/** A command whose bytes are made here, once, instead of argument by argument in the client. */
export class WireCommand extends Command {
  /** @param wire one command or several of which one is answered */
  constructor(
    name: string,
    private readonly wire: Buffer,
  ) {
    super(name, []);
  }

  override toWritable(): Buffer {
    return this.wire;
  }
}

const CR = 13;
const LF = 10;
const DOLLAR = 36;
const STAR = 42;

function putNumber(into: Buffer, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = Math.floor(rest / 10);
    into[i] = 48 + (rest - next * 10);
    rest = next;
  }
  return at + digits;
}

function putHeader(into: Buffer, at: number, kind: number, value: number): number {
  into[at] = kind;
  at = putNumber(into, at + 1, value);
  into[at] = CR;
  into[at + 1] = LF;
  return at + 2;
}

/** Short ASCII text byte by byte: cheaper than a call into C++ per field. */
function putText(into: Buffer, start: number, text: string): number {
  const length = text.length;
  let at = putHeader(into, start, DOLLAR, length);
  let i = 0;
  if (length <= 96) {
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) break;
      into[at + i] = code;
    }
  }
  if (i < length) {
    at = putHeader(into, start, DOLLAR, Buffer.byteLength(text));
    at += into.write(text, at);
  } else at += length;
  into[at] = CR;
  into[at + 1] = LF;
  return at + 2;
}

function putBytes(into: Buffer, at: number, bytes: Buffer): number {
  at = putHeader(into, at, DOLLAR, bytes.length);
  into.set(bytes, at);
  at += bytes.length;
  into[at] = CR;
  into[at + 1] = LF;
  return at + 2;
}

const sameRun = (a: ChangeEvent, b: ChangeEvent) => a.type === b.type && a.subject === b.subject && a.time === b.time;

/** How many of the events from `first` on are alike in type, subject and time. */
function runFrom(events: readonly ChangeEvent[], first: number): number {
  let end = first + 1;
  while (end < events.length && sameRun(events[first]!, events[end]!)) end++;
  return end - first;
}

const textBound = (text: string): number => 3 * text.length + 16;

function callBound({ sha, keys, args }: ScriptCall): number {
  let size = 64 + sha.length;
  for (const key of keys) size += textBound(key);
  for (const arg of args) size += textBound(arg);
  return size;
}

function eventBound(event: ChangeEvent): number {
  const texts = event.id.length + event.partitionkey.length + event.type.length + event.subject.length;
  return 3 * (texts + event.time.length) + event.data.length + 112;
}

const boundOf = (events: readonly ChangeEvent[], each = 0): number =>
  events.reduce((size, event) => size + eventBound(event) + each, 512);

function putCall(into: Buffer, start: number, { sha, keys, args }: ScriptCall, more: number): number {
  let at = putHeader(into, start, STAR, 3 + keys.length + args.length + more);
  at = putText(into, at, 'EVALSHA');
  at = putText(into, at, sha);
  at = putText(into, at, String(keys.length));
  for (const key of keys) at = putText(into, at, key);
  for (const arg of args) at = putText(into, at, arg);
  return at;
}

/**
 * One EVALSHA of APPEND in the Redis protocol. What neighbours have in common (type, subject, time) is written once per run.
 * @param take gives a buffer of at least that many bytes
 * @returns the part of that buffer that was written
 */
export function encodeAppend(
  call: ScriptCall,
  events: readonly ChangeEvent[],
  take: (bytes: number) => Buffer,
): Buffer {
  let runs = 0;
  for (let i = 0; i < events.length; i += runFrom(events, i)) runs++;
  const into = take(callBound(call) + boundOf(events));
  let at = putCall(into, 0, call, runs * 4 + events.length * 3);
  for (let next = 0; next < events.length;) {
    const first = events[next]!;
    const length = runFrom(events, next);
    at = putText(into, at, String(length));
    at = putText(into, at, first.type);
    at = putText(into, at, first.subject);
    at = putText(into, at, first.time);
    for (const stop = next + length; next < stop; next++) {
      const event = events[next]!;
      at = putText(into, at, event.id);
      at = putText(into, at, event.partitionkey);
      at = putBytes(into, at, event.data);
    }
  }
  return into.subarray(0, at);
}

/** A command of short words, as Redis reads it. */
const words = (...all: readonly string[]): Buffer =>
  Buffer.from(`*${all.length}\r\n${all.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);

const MUTE = words('CLIENT', 'REPLY', 'OFF');
const SPEAK = words('CLIENT', 'REPLY', 'ON');
const MULTI = words('MULTI');
const EXEC = words('EXEC');

/** A transaction on the wire, cut where Redis has something to say. */
export interface TransactionWire {
  /** Answered `OK`: the last that waits in it is `CLIENT REPLY ON`. */
  readonly events: Buffer;
  /** Answered with what TRANSACT returns at its end. */
  readonly end: Buffer;
  /** Answered `OK`: replies are on again also where Redis gave the transaction up. */
  readonly after: Buffer;
  /** Answered with the reason that Redis gave it up, as an error, or 0. */
  readonly why: Buffer;
}

/**
 * `MULTI`, TRANSACT to begin, an XADD for each event, TRANSACT to end, `EXEC`. Redis answers each command of a transaction twice, so
 * replies are off in it until its end. After it TRANSACT is asked why there is no answer, where there is none.
 * @param call of TRANSACT, without its last argument; its third key is what the XADDs are for
 * @param source `source` of the events
 * @param take gives a buffer of at least that many bytes
 * @returns parts of that buffer, `events` from its start
 */
export function encodeTransaction(
  call: ScriptCall,
  source: string,
  events: readonly ChangeEvent[],
  take: (bytes: number) => Buffer,
): TransactionWire {
  const [begin, end, why] = ['begin', 'end', 'why'].map((part) => ({ ...call, args: [...call.args, part] }));
  const open = words('XADD', call.keys[2]!, '*', 'id').subarray('*4\r\n'.length);
  const into = take(3 * callBound(end!) + boundOf(events, open.length + textBound(source) + 112));
  let at = MUTE.copy(into);
  at += MULTI.copy(into, at);
  at = putCall(into, at, begin!, 0);
  for (let next = 0; next < events.length;) {
    const stop = next + runFrom(events, next);
    const shared = sharedFields(source, events[next]!);
    for (; next < stop; next++) {
      const event = events[next]!;
      at = putHeader(into, at, STAR, 17);
      into.set(open, at);
      at = putText(into, at + open.length, event.id);
      into.set(shared, at);
      at = putText(into, at + shared.length, event.partitionkey);
      at = putText(into, at, 'data');
      at = putBytes(into, at, event.data);
    }
  }
  at += SPEAK.copy(into, at);
  const cut = at;
  at = putCall(into, at, end!, 0);
  at += EXEC.copy(into, at);
  const last = putCall(into, at, why!, 0);
  return { events: into.subarray(0, cut), end: into.subarray(cut, at), after: SPEAK, why: into.subarray(at, last) };
}

/** From the name of `type` to the name of `partitionkey`: the same for each event of a run. */
function sharedFields(source: string, { type, subject, time }: ChangeEvent): Buffer {
  const fields = ['type', type, 'source', source, 'subject', subject, 'time', time, 'partitionkey'];
  return words(...fields).subarray('*9\r\n'.length);
}

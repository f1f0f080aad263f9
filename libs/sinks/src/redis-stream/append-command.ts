import type { ChangeEvent } from '@planasonix/core';
import { Command } from 'ioredis';

/** The arguments of one APPEND call that come before the events. */
export interface AppendHead {
  readonly sha: string;
  readonly eventsKey: string;
  readonly logKey: string;
  readonly args: readonly string[];
}

/** A command whose bytes are made here, once, instead of argument by argument in the client. */
export class AppendCommand extends Command {
  constructor(private readonly wire: Buffer) {
    super('evalsha', []);
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

/** An upper bound of what `encodeAppend` writes, in bytes. */
function bound(head: AppendHead, events: readonly ChangeEvent[]): number {
  let size = 512 + 3 * (head.eventsKey.length + head.logKey.length);
  for (const arg of head.args) size += 3 * arg.length + 16;
  for (const event of events)
    size +=
      3 * (event.id.length + event.partitionkey.length + event.type.length + event.subject.length + event.time.length) +
      event.data.length +
      112;
  return size;
}

/**
 * One EVALSHA in the Redis protocol. What neighbours have in common (type, subject, time) is written once per run.
 * @param take gives a buffer of at least that many bytes
 * @returns the part of that buffer that was written
 */
export function encodeAppend(
  head: AppendHead,
  events: readonly ChangeEvent[],
  take: (bytes: number) => Buffer,
): Buffer {
  const runs: number[] = [];
  for (let i = 0, from = 0; i < events.length; i++)
    if (i + 1 === events.length || !sameRun(events[i]!, events[i + 1]!)) {
      runs.push(i + 1 - from);
      from = i + 1;
    }
  const into = take(bound(head, events));
  let at = putHeader(into, 0, STAR, 5 + head.args.length + runs.length * 4 + events.length * 3);
  at = putText(into, at, 'EVALSHA');
  at = putText(into, at, head.sha);
  at = putText(into, at, '2');
  at = putText(into, at, head.eventsKey);
  at = putText(into, at, head.logKey);
  for (const arg of head.args) at = putText(into, at, arg);
  let next = 0;
  for (const length of runs) {
    const first = events[next]!;
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

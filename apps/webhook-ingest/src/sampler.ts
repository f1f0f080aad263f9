import { randomBytes } from 'node:crypto';
import { request as overHttp, type IncomingMessage } from 'node:http';
import { request as overTls } from 'node:https';
import { json } from 'node:stream/consumers';
import type { Clock } from '@planasonix/core';
import type { Directory } from './directory.js';
import type { DoorTls } from './tls.js';
import { headersOf, vendors } from './vendors/index.js';
import { sampleOf } from './verify/sample.js';

export type SampleAnswer =
  | { readonly kind: 'sent'; readonly status: number; readonly body: unknown; readonly event_id: string }
  /** Only the sender has the key. */
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'unknown_stream' }
  /** Its config or its secrets can't be used here. `code`: as in its `last_error`. */
  | { readonly kind: 'unserved'; readonly code: string }
  /** The log is full, and the sample waits for room as any delivery (`queue`). */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'unreachable' };

export interface SamplerDeps {
  readonly directory: Directory;
  readonly clock: Clock;
  /** What senders are given, and where this instance or its neighbour listens. */
  readonly publicBase: string;
  readonly localBase: string;
  readonly tls: DoorTls | null;
}

const WITHIN_MS = 6_000;

/** Sends a stream a delivery of its own, signed as its sender would, through the real door. */
export async function sendSample(
  { directory, clock, tls, ...bases }: SamplerDeps,
  streamId: string,
): Promise<SampleAnswer> {
  await directory.look();
  const door = directory.byId(streamId);
  if (door === null) {
    const unserved = directory.unservedById(streamId);
    return unserved === null ? { kind: 'unknown_stream' } : { kind: 'unserved', code: unserved.code };
  }
  const eventId = `test_${randomBytes(9).toString('hex')}`;
  const path = `/ingest/${door.row.token}`;
  const { auth, dedupe } = door.config;
  const fields = { id: eventId, event_id: eventId, type: 'test', event_type: 'test', event: 'test', test: true };
  const sample = sampleOf(auth, { url: bases.publicBase + path, nowMs: clock.now(), id: eventId, fields });
  if (sample === null) return { kind: 'unsupported' };
  const place = auth.type === 'preset' ? vendors.get(auth.preset)!.eventId : undefined;
  const named = (place && headersOf(place)[0]) ?? dedupe.header;
  try {
    const headers = { ...(named ? { [named]: eventId } : {}), ...sample.headers };
    const answer = await posted(bases.localBase + path, { headers, body: sample.body, tls });
    return { kind: 'sent', status: answer.statusCode!, body: await json(answer), event_id: eventId };
  } catch (error) {
    const isLate = (error as { code?: unknown }).code === 'ABORT_ERR';
    return { kind: isLate && (await waits(directory, streamId)) ? 'waiting' : 'unreachable' };
  }
}

/** Whichever instance has it says so in the row. */
async function waits(directory: Directory, streamId: string): Promise<boolean> {
  await directory.look();
  const door = directory.byId(streamId);
  return door !== null && door.config.backpressure === 'queue' && door.row.isBlocked;
}

/** The door is dialled by an address of this machine, and known by its very certificate. */
function posted(
  url: string,
  { headers, body, tls }: { headers: Readonly<Record<string, string>>; body: Buffer; tls: DoorTls | null },
): Promise<IncomingMessage> {
  const options = { method: 'POST', headers, agent: false, signal: AbortSignal.timeout(WITHIN_MS) };
  const pinned = { ca: tls?.served.cert, allowPartialTrustChain: true, checkServerIdentity: () => undefined };
  return new Promise((resolve, reject) => {
    const request = tls === null ? overHttp(url, options, resolve) : overTls(url, { ...options, ...pinned }, resolve);
    request.once('error', reject).end(body);
  });
}

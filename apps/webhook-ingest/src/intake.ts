import { createHash, hash } from 'node:crypto';
import type { Intake, IntakePart } from '@planasonix/core';
import { contentOf, lengthOf, partsOf, type Content, type NotApart } from './body/content.js';
import { isJson, scalarAt } from './body/json-text.js';
import type { Room } from './body/memory.js';
import type { Door } from './door.js';
import { isNamedAsProof } from './header-names.js';
import { headersOf, type Place } from './vendors/index.js';

export interface Header {
  readonly name: string;
  /** In lower case. */
  readonly lower: string;
  readonly value: string;
}

/** What is true of the bytes as they were sent alone. */
const AS_SENT: ReadonlySet<string> = new Set(['content-encoding', 'content-length']);

/** A request whose proof is valid, its body inflated. */
export interface Delivery {
  readonly method: string;
  readonly contentType: string;
  readonly headers: readonly Header[];
  readonly body: Buffer;
  /** The body is not as it was sent. */
  readonly inflated: boolean;
  /** What the proof covers, in its parts. */
  readonly signed: readonly Buffer[];
  readonly receivedAtMs: number;
}

export interface Taken {
  readonly intake: Intake;
  readonly eventId: string | null;
  /** Set where the delivery was taken apart. */
  readonly events: number | null;
}

const TYPE = 'com.planasonix.webhook.received';
const LONGEST_ID = 200;
const LONGEST_KEY = 1_000;
/** What an event has at least, beside its body, its frame, its id and its key. */
const LEAST_BESIDE = 100;
/**
 * Bytes of a delivery that is taken apart which are not its body but what each event has beside its part: the headers of
 * one small request would else fill the log 10,000 times over. Invariant 6.
 */
const MOST_REPEATED = 16 * 1024 * 1024;

function digest(parts: readonly (Buffer | string)[]): string {
  if (parts.length === 1) return hash('sha256', parts[0]!, 'base64url');
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part);
  return sum.digest('base64url');
}

/** What has to be taken apart and can't be, or what there is no room for. */
export type NotTaken = NotApart | 'parts_too_large' | 'too_large_as_event' | 'no_memory';

/** What a delivery becomes. @param room asked for the bytes of its events, before they are built */
export function intakeOf(door: Door, delivery: Delivery, room: (bytes: number) => Room): Taken | NotTaken {
  const { config, places } = door;
  const { body, contentType, receivedAtMs } = delivery;
  let json: boolean | null = null;
  const valid = () => (json ??= isJson(body));
  const find = finder(delivery, valid);
  const eventId = (places.eventId && find(places.eventId)) || null;
  const eventType = places.eventType ? find(places.eventType) : null;
  const contents = config.expand_array ? partsOf(body, contentType) : [contentOf(body, contentType, valid)];
  if (typeof contents === 'string') return contents;
  const time = new Date(receivedAtMs).toISOString();
  const frame = frameOf(door, delivery, { eventId, eventType, time });
  const names = namesOf(door, delivery, eventId);
  const beside = Buffer.byteLength(frame) + names.otherId.length + headerKey(door, delivery).length + LEAST_BESIDE;
  if ((contents.length - 1) * beside > MOST_REPEATED) return 'parts_too_large';
  const found = room(contents.reduce((sum, content) => sum + beside + lengthOf(content), 0));
  if (found !== 'room') return found === 'never' ? 'too_large_as_event' : 'no_memory';
  const parts = contents.map((content): IntakePart => ({
    partitionkey: partitionKey(door, delivery, content),
    data: dataOf(frame, content),
  }));
  return {
    // One by one: V8 takes microseconds for each member that follows a spread.
    intake: {
      id: names.id,
      otherId: names.otherId,
      sameDelivery: names.sameDelivery,
      sameId: names.sameId,
      windowMs: door.windowMs,
      type: TYPE,
      subject: door.name,
      time,
      timeMs: receivedAtMs,
      parts,
      expanded: config.expand_array,
      inOrder: config.backpressure === 'queue',
    },
    eventId,
    events: config.expand_array ? parts.length : null,
  };
}

/**
 * The id, and what a repeat has in common with the first. An id that the proof does not cover can be forged, so that the
 * body counts with it; without an id it is all that the proof covers, time included, for two deliveries may be equal.
 */
function namesOf({ id, places }: Door, { body, signed }: Delivery, eventId: string | null) {
  if (eventId === null) {
    const sum = digest(signed);
    const only = `${id}/${sum}`;
    return { id: only, otherId: only, sameDelivery: `s:${sum}`, sameId: `s:${sum}` };
  }
  const plain = eventId.length <= LONGEST_ID ? eventId.replace(/[^\w.:@=+-]/g, encoded) : digest([eventId]);
  const sameId = `i:${digest([eventId])}`;
  const sum = places.idIsSigned ? '' : digest([eventId, '\0', body]);
  return {
    id: `${id}/${plain}`,
    otherId: `${id}/${plain}~${sum.slice(0, 12)}`,
    sameDelivery: places.idIsSigned ? sameId : `b:${sum}`,
    sameId,
  };
}

/** So that neither `/` nor `~` of an id looks like ours. */
const encoded = (char: string): string => `%${char.codePointAt(0)!.toString(16)}.`;

const valueOf = (headers: readonly Header[], name: string): string | null =>
  headers.find(({ lower }) => lower === name)?.value ?? null;

/** @param valid whether the body is JSON */
function finder({ body, headers, signed }: Delivery, valid: () => boolean) {
  return (place: Place): string | null => {
    if ('signedPart' in place) return signed[place.signedPart]?.toString() ?? null;
    if ('pointer' in place) return valid() ? scalarAt(body, place.pointer) : null;
    return (
      headersOf(place)
        .map((name) => valueOf(headers, name))
        .find((value) => !!value) ?? null
    );
  };
}

function headerKey({ config }: Door, { headers }: Delivery): string {
  const of = config.ordering_key;
  if (of === undefined || !('header' in of)) return '';
  return (valueOf(headers, of.header.toLowerCase()) ?? '').slice(0, LONGEST_KEY);
}

function partitionKey(door: Door, delivery: Delivery, { encoding, bytes }: Content): string {
  const of = door.config.ordering_key;
  if (of === undefined) return '';
  if ('header' in of) return headerKey(door, delivery);
  const key = encoding === 'json' ? (scalarAt(bytes, of.json_pointer) ?? '') : '';
  return key.length > LONGEST_KEY ? digest([key]) : key.toWellFormed();
}

/** Everything of an event's data but its body, as the JSON text before and after it. */
function frameOf(
  door: Door,
  { method, contentType, headers, inflated }: Delivery,
  of: { readonly eventId: string | null; readonly eventType: string | null; readonly time: string },
): string {
  const shown: (readonly [string, string])[] = [];
  for (const { name, lower, value } of headers)
    if (!door.hidden.has(lower) && !isNamedAsProof(lower) && !(inflated && AS_SENT.has(lower)))
      shown.push([name, value]);
  return JSON.stringify({
    headers: shown,
    method,
    content_type: contentType || null,
    event_id: of.eventId,
    event_type: of.eventType,
    received_at: of.time,
  }).slice(1);
}

function dataOf(frame: string, { encoding, bytes }: Content): Buffer {
  const body =
    encoding === 'json'
      ? bytes
      : Buffer.from(JSON.stringify(encoding === 'text' ? bytes.toString() : bytes.toString('base64')));
  return Buffer.concat([Buffer.from('{"body":'), body, Buffer.from(`,"body_encoding":"${encoding}",${frame}`)]);
}

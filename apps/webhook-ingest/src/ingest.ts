import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clock, DeliveryRefusal } from '@planasonix/core';
import { handshaken, refusal, type Answer } from './answer.js';
import { inflated, encodingOf, type Encoding } from './body/inflate.js';
import { isJson } from './body/json-text.js';
import type { Hold } from './body/memory.js';
import { readBody, type Read } from './body/read.js';
import { LARGEST_BODY } from './config.js';
import type { Directory, Unserved } from './directory.js';
import type { Door } from './door.js';
import { intakeOf, type Delivery, type Header, type NotTaken, type Taken } from './intake.js';
import { Memories, type StreamMemory } from './memories.js';
import type { Peers } from './peers.js';
import { Rates } from './rates.js';
import type { Reporter } from './reporter.js';
import type { Storing } from './storing.js';
import type { Strays } from './strays.js';
import { Turns } from './turns.js';
import type { Handshake } from './vendors/index.js';
import { refused, type Refusal, type SignedRequest, type Verdict } from './verify/scheme.js';
import { SignatureScheme } from './verify/signature.js';

/**
 * A stranger is not told sooner than this after the end of the body that there is nothing: it is twice what the
 * slowest proofs take to judge, the largest JSON that is parsed for one and the largest body under three keys.
 */
const NOT_FOUND_MS = { least: 250, perMegabyte: 20 } as const;
const BODY_MS = 15_000;
/** What a request is, beside its headers and its body. */
const REQUEST_BYTES = 2_048;

export interface IngestDeps {
  readonly directory: Directory;
  readonly reporter: Reporter;
  readonly strays: Pick<Strays, 'count'>;
  readonly storing: Storing;
  readonly clock: Clock;
  /** What users are shown, without the path. */
  readonly publicBase: string;
  readonly peers: Peers;
  /** Deliveries a second from one address; 0: no limit. */
  readonly addressRate: number;
}

/** A body that is larger is no handshake: it would be parsed into many times its size. */
const LARGEST_HANDSHAKE = 64 * 1024;

/** Whose turn it is where nothing is taken in: the same for what is stopped and for what is not there. */
const NOBODY = '';
const NO_SIGNATURE = '00'.repeat(32);
/** Does the same work where there is no stream as where there is one. */
const decoy = new SignatureScheme(
  {
    ...{ algorithm: 'sha256', encoding: 'hex', headers: ['x-signature'], form: { kind: 'whole', prefix: '' } },
    signed: '{body}',
  },
  [randomBytes(32).toString('hex')],
);

/** At whose door a request is, and what its proof is worth there. */
interface Seen {
  readonly door: Door | null;
  readonly verdict: Verdict;
}

/** A delivery that is on its way into the log. */
interface Admitted {
  readonly door: Door;
  readonly taken: Taken;
}

/** One request, from its headers to its answer. */
export class Ingest {
  /** Apart: however many addresses there are, no stream is forgotten for them. */
  readonly #rates: { readonly addresses: Rates; readonly streams: Rates };
  readonly #memories = new Memories();
  readonly #turns = new Turns();

  constructor(private readonly deps: IngestDeps) {
    this.#rates = { addresses: new Rates(deps.clock), streams: new Rates(deps.clock) };
  }

  async answer(request: IncomingMessage, token: string): Promise<Answer> {
    const { directory } = this.deps;
    const door = directory.byToken(token);
    const answer = await this.#judge(request, token, door);
    const unserved = door === null ? directory.unserved(token) : null;
    const told = unserved === null ? answer : answerOf(unserved, answer);
    // What nobody has proved tells a user nothing of a stream that does not run.
    const of = door ?? unserved ?? directory.byToken(token);
    if (of === null) this.deps.strays.count('address_unknown');
    else this.#note(of, told);
    return told;
  }

  #note(of: { readonly id: string }, { status, reason, eventId, id }: Answer): void {
    const atMs = this.deps.clock.now();
    this.deps.reporter.of(of).answered({ atMs, status, reason, event_id: eventId, id });
  }

  async #judge(request: IncomingMessage, token: string, door: Door | null): Promise<Answer> {
    if (request.method !== 'POST') return refusal('method_not_allowed');
    // The limits of a stream that does not run would tell that it is there.
    const open = door?.isOpen ? door : null;
    const max = open?.config.max_body_bytes ?? LARGEST_BODY;
    if (Number(request.headers['content-length'] ?? 0) > max) return refusal('too_large');
    const { 'transfer-encoding': transfer = 'chunked', 'content-encoding': content } = request.headers;
    // What else is in it, as `gzip, chunked`, Node leaves as it came: it would be taken for the body.
    if (transfer.trim().toLowerCase() !== 'chunked')
      return refusal('unreadable', { reason: 'transfer_encoding_unsupported' });
    const encoding = encodingOf(content);
    if (encoding === null) return refusal('encoding_unsupported');
    const wait = this.#waitOfAddress(request);
    if (wait > 0) return refusal('rate_limited', { waitMs: wait });
    const receivedAtMs = this.deps.clock.now();
    const hold = open === null ? this.#memories.idle() : this.#memoryOf(open).hold();
    try {
      if (hold.keep(REQUEST_BYTES + sizeOf(request)) !== 'room') return refusal('busy');
      const admitted = await this.#admit(request, { token, known: door, encoding, max, receivedAtMs, hold });
      // The body is gone: while an event waits for the log, it alone is held.
      return 'taken' in admitted ? await this.#store(admitted) : admitted;
    } finally {
      hold.release();
    }
  }

  async #store({ door, taken }: Admitted): Promise<Answer> {
    const answer = await this.deps.storing.store(door, taken);
    return answer.reason === 'not_running' ? this.#notRunning(door) : answer;
  }

  async #admit(
    request: IncomingMessage,
    of: { token: string; known: Door | null; encoding: Encoding; max: number; receivedAtMs: number; hold: Hold },
  ): Promise<Answer | Admitted> {
    const { token, known, encoding, max, receivedAtMs, hold } = of;
    const body = await readBody(request, { maxBytes: max, withinMs: BODY_MS }, hold);
    if (!Buffer.isBuffer(body)) return unread(body);
    await this.#turns.take(known?.isOpen ? known.id : NOBODY, body.length);
    const signed = this.#signed(request, body);
    const { door, verdict } = known?.isOpen ? await seen(known, signed) : await this.#unseen(known, token, signed);
    if (door === null) return refusal('not_found');
    if (!verdict.valid) return refusal(door.isOpen ? unproved(verdict.reason) : 'not_found', verdict);
    const open = await this.#running(door);
    if (open === null) return this.#notRunning(door);
    if (body.length > open.config.max_body_bytes) return refusal('too_large');
    const wait = this.#waitOf(open);
    if (wait > 0) return refusal('rate_limited', { waitMs: wait });
    if (!hold.moveTo([this.#memoryOf(open).all])) return refusal('busy');
    const plain = await inflated(body, encoding, open.config.max_body_bytes, hold);
    if (plain === 'too_large') return refusal('too_large', { reason: 'too_large_inflated' });
    if (plain === 'unreadable') return refusal('unreadable', { reason: 'encoding_broken' });
    if (plain === 'no_memory') return refusal('busy');
    // What is taken apart in one go is the body as it has become.
    if (encoding !== 'identity') await this.#turns.take(open.id, plain.length);
    const shaken = handshakeIn(plain, open, verdict.key);
    if (shaken) return handshaken(shaken);
    const about = { body: plain, inflated: encoding !== 'identity', signed: verdict.signed, receivedAtMs };
    const taken = intakeOf(open, deliveryOf(request, about), (bytes) => hold.become(bytes));
    return typeof taken === 'string' ? notTaken(taken) : { door: open, taken };
  }

  /** The store was asked just now: a stream that was deleted, or has another address, is not there any more. */
  #notRunning(door: Door): Answer {
    const { directory } = this.deps;
    return refusal(directory.byId(door.id)?.row.token === door.row.token ? 'not_running' : 'not_found');
  }

  /** Without a proof a stream that does not run can't be told from one that is not there, nor by the time. */
  async #unseen(door: Door | null, token: string, signed: SignedRequest): Promise<Seen> {
    const ms = NOT_FOUND_MS.least + (signed.body.length / 1_000_000) * NOT_FOUND_MS.perMegabyte;
    const floor = this.deps.clock.sleep(ms).then(() => ({ door, verdict: refused('too_slow') }));
    const judged = door === null ? this.#looked(token, signed) : seen(door, signed);
    const found = await Promise.race([judged, floor]);
    return found.door !== null && found.verdict.valid ? found : floor.then(() => found);
  }

  /** What is not known here may have been made just now. */
  async #looked(token: string, signed: SignedRequest): Promise<Seen> {
    const { directory } = this.deps;
    const verdict = decoy.verify({ ...signed, header: () => NO_SIGNATURE });
    await directory.lookForStrangers();
    const door = directory.byToken(token);
    return door === null ? { door, verdict } : seen(door, signed);
  }

  /** It may just have been started: the store is asked once more before it is turned away. */
  async #running(door: Door): Promise<Door | null> {
    if (door.isOpen) return door;
    await this.deps.directory.look();
    const now = this.deps.directory.byId(door.id);
    return now?.isOpen ? now : null;
  }

  #waitOfAddress(request: IncomingMessage): number {
    const { addressRate, peers } = this.deps;
    return addressRate > 0 ? this.#rates.addresses.take(peers.networkOf(request), addressRate) : 0;
  }

  /** Of what is proved alone: whoever knows the address would use it up. */
  #waitOf({ id, config }: Door): number {
    const limit = config.rate_limit_per_second;
    return limit ? this.#rates.streams.take(id, limit) : 0;
  }

  #memoryOf(door: Door): StreamMemory {
    return this.#memories.of(this.deps.reporter.of(door), door.row.workspaceId);
  }

  #signed(request: IncomingMessage, body: Buffer): SignedRequest {
    const { headers, method = '', url = '' } = request;
    return {
      method,
      url: this.deps.publicBase + url,
      body,
      nowMs: this.deps.clock.now(),
      header: (name) => {
        const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
        return typeof value === 'string' ? value : null;
      },
      certificate: () => this.deps.peers.certificateOf(request),
    };
  }
}

/** Of its headers, as they came. */
const sizeOf = ({ rawHeaders, url = '' }: IncomingMessage): number =>
  rawHeaders.reduce((size, text) => size + text.length, url.length);

const seen = async (door: Door, request: SignedRequest): Promise<Seen> => ({
  door,
  verdict: await door.scheme.verify(request),
});

/** Of one that runs nobody is told that it is gone: senders would give it up. */
function answerOf({ code, isShut }: Unserved, answer: Answer): Answer {
  if (answer.reason !== 'not_found') return answer;
  return isShut ? refusal('keys_unavailable', { reason: code }) : { ...answer, reason: code };
}

/** A sender whose proof can't be judged now has to come again: with a 401 it would give up. */
const unproved = (reason: Refusal): DeliveryRefusal =>
  reason === 'keys_unavailable' || reason === 'key_unknown' ? 'keys_unavailable' : 'unauthorized';

function unread(read: Exclude<Read, Buffer>): Answer {
  switch (read) {
    case 'too_large':
      return refusal('too_large');
    case 'too_slow':
      return refusal('body_too_slow');
    case 'no_memory':
      return refusal('busy');
    case 'cut_short':
      return refusal('unreadable', { reason: 'body_cut_short' });
  }
}

function handshakeIn(body: Buffer, { handshake }: Door, key: Buffer = Buffer.alloc(0)): Handshake | null {
  if (handshake === null || body.length > LARGEST_HANDSHAKE || !isJson(body)) return null;
  return handshake(JSON.parse(body.toString()), key);
}

function notTaken(why: NotTaken): Answer {
  switch (why) {
    case 'json_broken':
      return refusal('unreadable', { reason: why });
    case 'parts_too_many':
    case 'parts_too_large':
      return refusal(why);
    case 'too_large_as_event':
      return refusal('too_large', { reason: why });
    case 'no_memory':
      return refusal('busy');
  }
}

function deliveryOf(
  { method = '', headers, rawHeaders }: IncomingMessage,
  of: Pick<Delivery, 'body' | 'inflated' | 'signed' | 'receivedAtMs'>,
): Delivery {
  const all: Header[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    all.push({ name, lower: name.toLowerCase(), value: rawHeaders[i + 1]! });
  }
  return { method, contentType: headers['content-type'] ?? '', headers: all, ...of };
}

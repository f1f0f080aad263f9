import type { Flavor } from './server.js';

/** From the first number to the last, both of them in it. */
type Span = [first: bigint, last: bigint];

/** One transaction: who wrote it (`3e11fa47-…`, in MariaDB domain and server: `0-1`), and its number there. */
export interface Gtid {
  readonly source: string;
  readonly number: bigint;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SPAN = /^([1-9]\d{0,18})(?:-([1-9]\d{0,18}))?$/;
const MARIADB = /^(\d{1,10}-\d{1,10})-(\d{1,20})$/;

/** `3e11fa47-71ca-11e1-9e33-c80aa9429562:23`, `0-1-42` */
export function gtidOf(flavor: Flavor, text: string): Gtid {
  const at = text.lastIndexOf(flavor === 'mysql' ? ':' : '-');
  return { source: text.slice(0, at), number: BigInt(text.slice(at + 1)) };
}

/**
 * Transactions by their GTIDs. MySQL writes a set as `uuid:1-5:7,uuid:1`. MariaDB numbers those of a domain one behind the
 * other, whoever writes: `0-1-42` stands for all of server 1 up to that one, as in its `gtid_binlog_state`.
 */
export class GtidSet {
  private readonly spans = new Map<string, Span[]>();

  constructor(readonly flavor: Flavor) {}

  /** @returns `null` where the text is no set, or has tags (MySQL 8.3), which are not followed */
  static parse(flavor: Flavor, text: string): GtidSet | null {
    const set = new GtidSet(flavor);
    const entries = text.split(',').flatMap((entry) => (entry.trim() === '' ? [] : [entry.trim().toLowerCase()]));
    return entries.every((entry) => (flavor === 'mysql' ? set.takeSpans(entry) : set.takeLast(entry))) ? set : null;
  }

  /** Adds a transaction, or in MariaDB all that its writer wrote up to it. */
  add({ source, number }: Gtid): void {
    if (this.flavor === 'mariadb') this.addSpan(source, 1n, number);
    else this.addSpan(source, number, number);
  }

  addSpan(source: string, first: bigint, last: bigint): void {
    const spans = this.spans.get(source);
    const newest = spans?.at(-1);
    if (spans === undefined || newest === undefined) this.spans.set(source, [[first, last]]);
    else if (first >= newest[0] && first <= newest[1] + 1n) newest[1] = last > newest[1] ? last : newest[1];
    else this.spans.set(source, merged([...spans, [first, last]]));
  }

  has({ source, number }: Gtid): boolean {
    return this.spans.get(source)?.some(([first, last]) => first <= number && number <= last) === true;
  }

  /** Those that another set lacks. */
  without(other: GtidSet): GtidSet {
    const rest = new GtidSet(this.flavor);
    for (const [source, spans] of this.spans)
      for (const span of spans)
        for (const [first, last] of cut(span, other.spans.get(source) ?? [])) rest.addSpan(source, first, last);
    return rest;
  }

  get empty(): boolean {
    return this.spans.size === 0;
  }

  addAll(other: GtidSet): void {
    for (const [source, spans] of other.spans) for (const [first, last] of spans) this.addSpan(source, first, last);
  }

  /** MariaDB: adds what other writers of these domains wrote before the last one that is in it. */
  addEarlier(other: GtidSet): void {
    const last = new Map([...this.spans].map(([source, spans]) => [source.split('-')[0], spans.at(-1)![1]]));
    for (const [source, spans] of other.spans) {
      const number = spans.at(-1)![1];
      if (!this.spans.has(source) && number < (last.get(source.split('-')[0]) ?? 0n)) this.add({ source, number });
    }
  }

  /** MariaDB: of each domain that is in it, adds all up to its last one, of every writer that another set knows of. */
  addDomains(other: GtidSet): void {
    const last = new Map([...this.newest().spans].map(([source, spans]) => [source.split('-')[0], spans.at(-1)![1]]));
    for (const source of other.spans.keys()) {
      const number = last.get(source.split('-')[0]);
      if (number !== undefined) this.add({ source, number });
    }
  }

  /**
   * What stands for all the rest. In MariaDB the last one of each domain: a server that has it, and joined later, need not
   * know of those who wrote long before. In MySQL all of them.
   */
  newest(): GtidSet {
    if (this.flavor === 'mysql') return this;
    const byDomain = new Map<string, Gtid>();
    for (const [source, spans] of this.spans) {
      const [domain = ''] = source.split('-');
      const number = spans.at(-1)![1];
      if (number > (byDomain.get(domain)?.number ?? -1n)) byDomain.set(domain, { source, number });
    }
    const set = new GtidSet(this.flavor);
    for (const gtid of byDomain.values()) set.add(gtid);
    return set;
  }

  /**
   * MariaDB: where a replica would be that has all of it but the last one of each domain, of those whose last one another set
   * lacks; as it says that itself. `null`: there is none of these.
   */
  justBefore(other: GtidSet): string | null {
    const all = [...this.newest().spans].map(([source, spans]): Gtid => ({ source, number: spans.at(-1)![1] }));
    if (all.every((one) => other.has(one))) return null;
    return all
      .map((one) => (other.has(one) ? one : { ...one, number: one.number - 1n }))
      .flatMap(({ source, number }) => (number > 0n ? [`${source}-${number}`] : []))
      .join(',');
  }

  toString(): string {
    const entry = ([source, spans]: [string, Span[]]): string =>
      this.flavor === 'mariadb'
        ? `${source}-${spans.at(-1)![1]}`
        : `${source}:${spans.map(([first, last]) => (first === last ? String(first) : `${first}-${last}`)).join(':')}`;
    return [...this.spans].map(entry).join(',');
  }

  private takeSpans(entry: string): boolean {
    const [source = '', ...spans] = entry.split(':');
    if (!UUID.test(source) || spans.length === 0) return false;
    for (const text of spans) {
      const [, first, last = first] = SPAN.exec(text.trim()) ?? [];
      if (first === undefined || last === undefined || BigInt(last) < BigInt(first)) return false;
      this.addSpan(source, BigInt(first), BigInt(last));
    }
    return true;
  }

  private takeLast(entry: string): boolean {
    const [, source, number] = MARIADB.exec(entry) ?? [];
    if (source === undefined || number === undefined) return false;
    this.add({ source, number: BigInt(number) });
    return true;
  }
}

function merged(spans: readonly Span[]): Span[] {
  const sorted = [...spans].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const all: Span[] = [];
  for (const [first, last] of sorted) {
    const before = all.at(-1);
    if (before === undefined || first > before[1] + 1n) all.push([first, last]);
    else if (last > before[1]) before[1] = last;
  }
  return all;
}

/** What is left of a span; the others are sorted. */
function cut([first, last]: Span, others: readonly Span[]): Span[] {
  const left: Span[] = [];
  let from = first;
  for (const [begin, end] of others) {
    if (end < from || begin > last) continue;
    if (begin > from) left.push([from, begin - 1n]);
    from = end + 1n;
  }
  if (from <= last) left.push([from, last]);
  return left;
}

/** The set that a file of MySQL begins with; `null` where it has tags. @param body of a PREVIOUS_GTIDS event */
export function previousGtids(body: Buffer): GtidSet | null {
  const set = new GtidSet('mysql');
  // The highest byte is the number of a later form of this event.
  if (body[7] !== 0) return null;
  let at = 8;
  for (let sources = Number(body.readBigUInt64LE(0)); sources > 0; sources--) {
    const uuid = uuidText(body, at);
    let spans = Number(body.readBigUInt64LE(at + 16));
    for (at += 24; spans > 0; spans--, at += 16)
      // The end is the first one that is not in it.
      set.addSpan(uuid, body.readBigInt64LE(at), body.readBigInt64LE(at + 8) - 1n);
  }
  return set;
}

/** The last one of each domain and server in a log of MariaDB, as a file begins with it. @param body of a GTID_LIST event */
export function gtidList(body: Buffer): GtidSet {
  const set = new GtidSet('mariadb');
  const count = body.readUInt32LE(0) & 0x0fffffff;
  for (let i = 0, at = 4; i < count; i++, at += 16)
    set.add({ source: `${body.readUInt32LE(at)}-${body.readUInt32LE(at + 4)}`, number: body.readBigUInt64LE(at + 8) });
  return set;
}

/** Sixteen bytes as the text of a UUID. */
export function uuidText(bytes: Buffer, at: number): string {
  const hex = bytes.toString('hex', at, at + 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

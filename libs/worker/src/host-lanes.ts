import type { ConnectionSettings } from '@planasonix/core';

/** Questions about one host: under way at once, and those that wait for them. Invariant 6. */
const PER_HOST = { underWay: 2, waiting: 100 } as const;

interface Lane {
  underWay: number;
  readonly waiting: (() => void)[];
}

/** Whom a question is put to; its port does not matter, for whoever is silent may be so at many. */
function hostsOf({ config }: ConnectionSettings): string {
  const { host, brokers } = config;
  if (typeof host === 'string') return host.toLowerCase();
  if (!Array.isArray(brokers)) return '';
  const names = brokers.map((broker: unknown) => String(broker).toLowerCase().replace(/:\d+$/, ''));
  return [...new Set(names)].sort().join(' ');
}

/** Lets a host that does not answer hold up the questions about itself, and no others. */
export class HostLanes {
  readonly #lanes = new Map<string, Lane>();

  /** @throws Error where too many wait already, or `signal` is aborted before its turn comes. */
  async run<T>(connection: ConnectionSettings | null, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (connection === null) return work();
    const host = hostsOf(connection);
    const lane = this.#lanes.get(host) ?? { underWay: 0, waiting: [] };
    this.#lanes.set(host, lane);
    if (lane.underWay < PER_HOST.underWay) lane.underWay++;
    else await turn(lane, signal);
    // Its time is up: what does not heed that has its place no longer.
    const leave = once(() => this.#leave(host, lane));
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await work();
    } finally {
      signal.removeEventListener('abort', leave);
      leave();
    }
  }

  #leave(host: string, lane: Lane): void {
    const next = lane.waiting.shift();
    if (next !== undefined) next();
    else if (--lane.underWay === 0 && this.#lanes.get(host) === lane) this.#lanes.delete(host);
  }
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}

/** Resolves when one that is under way is done, whose place is taken. */
function turn(lane: Lane, signal: AbortSignal): Promise<void> {
  if (lane.waiting.length >= PER_HOST.waiting) throw new Error('Too many questions about one host wait');
  return new Promise((resolve, reject) => {
    const begin = () => {
      signal.removeEventListener('abort', late);
      resolve();
    };
    const late = () => {
      lane.waiting.splice(lane.waiting.indexOf(begin), 1);
      reject(new Error('The host of this question was busy with others'));
    };
    lane.waiting.push(begin);
    signal.addEventListener('abort', late, { once: true });
    if (signal.aborted) late();
  });
}

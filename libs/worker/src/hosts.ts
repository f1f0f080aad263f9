import { within } from '@planasonix/engine';
import type { Clock, StreamSpec } from '@planasonix/core';

/** What a stream's source is behind. Streams without a connection are each for themselves. */
export function hostOf({ id, connection }: Pick<StreamSpec, 'id' | 'connection'>): string {
  if (connection === null) return id;
  const { host, port, brokers } = connection.config;
  return JSON.stringify([host, port, brokers]);
}

function byHost(specs: readonly StreamSpec[]): Map<string, StreamSpec[]> {
  const hosts = new Map<string, StreamSpec[]>();
  for (const spec of specs) hosts.set(hostOf(spec), [...(hosts.get(hostOf(spec)) ?? []), spec]);
  return hosts;
}

export interface HostLimits {
  /** Hosts at once, and streams of one host at once. */
  readonly hosts: number;
  readonly perHost: number;
  /** What one stream may take, milliseconds. A host that is late is left alone for the rest of the round. */
  readonly withinMs: number;
  /** No host is begun with after that, so that the next round comes soon. */
  readonly beginMs: number;
}

/** Goes round the hosts of many streams, so that one which does not answer holds up none of the others. */
export class Hosts {
  /** Those that were late when they were last asked come last. */
  readonly #late = new Set<string>();
  /** When each stream was last begun with, monotonic: the one that has waited longest is first. */
  readonly #begun = new Map<string, number>();

  constructor(
    private readonly limits: HostLimits,
    private readonly clock: Clock,
  ) {}

  /** @param visit does not throw */
  async round(specs: readonly StreamSpec[], visit: (spec: StreamSpec) => Promise<void>): Promise<void> {
    const started = this.clock.monotonic();
    const hosts = byHost([...specs].sort(this.#longestFirst));
    this.#forget(specs, hosts);
    const order = [...hosts].sort(([a], [b]) => Number(this.#late.has(a)) - Number(this.#late.has(b)));
    const lane = async (): Promise<void> => {
      for (let next = order.shift(); next !== undefined; next = order.shift()) {
        if (this.clock.monotonic() - started > this.limits.beginMs) return;
        await this.#host(next[0], next[1], visit);
      }
    };
    await Promise.all(Array.from({ length: this.limits.hosts }, lane));
  }

  async #host(host: string, specs: StreamSpec[], visit: (spec: StreamSpec) => Promise<void>): Promise<void> {
    let late = false;
    const lane = async (): Promise<void> => {
      for (let spec = specs.shift(); spec !== undefined && !late; spec = specs.shift()) {
        this.#begun.set(spec.id, this.clock.monotonic());
        if ((await within(this.clock, this.limits.withinMs, visit(spec))) === 'late') late = true;
      }
    };
    await Promise.all(Array.from({ length: this.limits.perHost }, lane));
    if (late) this.#late.add(host);
    else this.#late.delete(host);
  }

  readonly #longestFirst = (a: StreamSpec, b: StreamSpec): number =>
    (this.#begun.get(a.id) ?? 0) - (this.#begun.get(b.id) ?? 0);

  #forget(specs: readonly StreamSpec[], hosts: ReadonlyMap<string, unknown>): void {
    const ids = new Set(specs.map(({ id }) => id));
    for (const id of this.#begun.keys()) if (!ids.has(id)) this.#begun.delete(id);
    for (const host of this.#late) if (!hosts.has(host)) this.#late.delete(host);
  }
}

import type { EventLog, PipelineOutput } from '@planasonix/core';
import { openLog, type LogDeps } from '@planasonix/sinks';
import { LONGEST_MS } from './live-tails.js';

const KEPT = 50;
/** Whoever is using one that is given up has so long to end: a live tail too. */
const GRACE_MS = LONGEST_MS + 60_000;

/** The logs of pipelines, opened when first looked into; each kind and setting once, and those that were used last. */
export class EventLogs {
  private readonly open = new Map<string, EventLog>();

  constructor(private readonly deps: LogDeps) {}

  of(output: PipelineOutput): EventLog {
    const key = JSON.stringify(output);
    const log = this.open.get(key) ?? openLog(output, this.deps);
    this.open.delete(key);
    this.open.set(key, log);
    if (this.open.size > KEPT) this.giveUpOldest();
    return log;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.open.values()].map((log) => log.close()));
    this.open.clear();
  }

  private giveUpOldest(): void {
    const [[key, log]] = [...this.open] as [[string, EventLog]];
    this.open.delete(key);
    setTimeout(() => void log.close().catch(() => undefined), GRACE_MS).unref();
  }
}

import type { EventLog, PipelineOutput } from '@planasonix/core';
import { openLog, type LogDeps } from '@planasonix/sinks';

const KEPT = 50;

/** The logs of pipelines, opened when first looked into; each kind and setting once. */
export class EventLogs {
  private readonly open = new Map<string, EventLog>();

  constructor(private readonly deps: LogDeps) {}

  of(output: PipelineOutput): EventLog {
    const key = JSON.stringify(output);
    let log = this.open.get(key);
    if (log === undefined) {
      log = openLog(output, this.deps);
      this.open.set(key, log);
      if (this.open.size > KEPT) this.dropOldest();
    }
    return log;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.open.values()].map((log) => log.close()));
    this.open.clear();
  }

  private dropOldest(): void {
    const [key] = this.open.keys();
    // Whoever is using it at this moment opens it anew with the next request.
    void this.open.get(key!)?.close();
    this.open.delete(key!);
  }
}

import type { EventLog, PipelineOutput } from '@planasonix/core';
import { openLog, type LogDeps } from '@planasonix/sinks';

/** One open log per kind of output, shared by all streams that write to it. */
export class LogBook {
  private readonly logs = new Map<string, EventLog>();

  constructor(private readonly deps: LogDeps) {}

  of(output: PipelineOutput): EventLog {
    const key = JSON.stringify(output);
    let log = this.logs.get(key);
    if (log === undefined) {
      log = openLog(output, this.deps);
      this.logs.set(key, log);
    }
    return log;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.logs.values()].map((log) => log.close()));
    this.logs.clear();
  }
}

import { StreamError, type EventLog, type Inlet, type PipelineOutput } from '@planasonix/core';

/** One writing end per kind of log, shared by all streams that go there. */
export class Inlets {
  private readonly made = new Map<EventLog, Inlet>();
  private isClosed = false;

  constructor(private readonly logs: { of(output: PipelineOutput): EventLog }) {}

  /** @throws StreamError `config_invalid` where this kind of log can't have many writers, `log_unavailable` after the end. */
  of(output: PipelineOutput): Inlet {
    // Whoever waits for room still: opened anew, it would be closed by nobody.
    if (this.isClosed) throw new StreamError('log_unavailable', 'This instance has ended');
    const log = this.logs.of(output);
    let inlet = this.made.get(log);
    if (inlet === undefined) {
      inlet = log.inlet?.();
      if (inlet === undefined)
        throw new StreamError('config_invalid', `A log of type "${output.type}" can't tell repeats of webhooks`);
      this.made.set(log, inlet);
    }
    return inlet;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.allSettled([...this.made.values()].map((inlet) => inlet.close()));
  }
}

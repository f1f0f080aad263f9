import type { EventLog, Inlet } from '@planasonix/core';
import { eventually } from '@planasonix/testing';

/** Writers of one stream that a test opens, and closes all together. */
export class Inlets {
  readonly #all: Inlet[] = [];

  /** @param log the one that is meant where a test names no other */
  constructor(
    private readonly streamId: string,
    private readonly log: EventLog,
  ) {}

  writer(of = this.log): Inlet {
    const inlet = of.inlet!();
    this.#all.push(inlet);
    return inlet;
  }

  /** One that has raised the log to `epoch`. */
  async opened(epoch = 1, of = this.log): Promise<Inlet> {
    const inlet = this.writer(of);
    await eventually('the log is open', () => inlet.open(this.streamId, epoch, null).then(() => true));
    return inlet;
  }

  async close(): Promise<void> {
    for (const inlet of this.#all.splice(0)) await inlet.close();
  }
}

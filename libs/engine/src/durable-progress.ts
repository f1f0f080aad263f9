import type { SnapshotProgress } from '@planasonix/core';

type Progress = SnapshotProgress | 'over' | null;

/**
 * How far the rows have come in the log. What a source says is of what it has handed over, which may wait for room: it is
 * told once all of that has landed.
 */
export class DurableProgress {
  #shown: Progress = null;
  /** What the source said since, each with the events that have to land first. */
  readonly #waiting: { readonly after: number; readonly said: Progress; readonly text: string }[] = [];

  /**
   * To be called now and then.
   * @param said by the source, just now
   * @returns what of it holds for the log; `null`: nothing is known yet
   */
  see(said: Progress, { handed, landed }: { readonly handed: number; readonly landed: number }): Progress {
    const text = JSON.stringify(said);
    const last = this.#waiting.at(-1);
    // Nothing else was handed over meanwhile: what was said before would be told at the same moment.
    if (last?.after === handed && last.text !== text) this.#waiting.pop();
    if (this.#waiting.at(-1)?.text !== text) this.#waiting.push({ after: handed, said, text });
    while (this.#waiting.length > 0 && this.#waiting[0]!.after <= landed) this.#shown = this.#waiting.shift()!.said;
    return this.#shown;
  }
}

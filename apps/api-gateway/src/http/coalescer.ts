/** What one of many who asked together gets: the answer, and the place among them, from 1 to `count`. */
export interface Share<T> {
  readonly answer: T;
  readonly place: number;
  readonly count: number;
}

interface Waiter<T> {
  resolve(share: Share<T>): void;
  reject(error: unknown): void;
}

/**
 * One question at a time per subject. Whoever comes while one is under way waits for the next, which all of them share:
 * every answer is of a question that was put after its asker came, so nothing stale is ever shared.
 */
export class Coalescer<T> {
  private readonly lines = new Map<string, Waiter<T>[]>();

  /** @param put the question, for `count` askers at once. */
  constructor(private readonly put: (subject: string, count: number) => Promise<T>) {}

  ask(subject: string): Promise<Share<T>> {
    return new Promise((resolve, reject) => {
      const line = this.lines.get(subject);
      if (line !== undefined) {
        line.push({ resolve, reject });
        return;
      }
      this.lines.set(subject, []);
      void this.serve(subject, [{ resolve, reject }]);
    });
  }

  private async serve(subject: string, first: readonly Waiter<T>[]): Promise<void> {
    for (let served = first; served.length > 0;) {
      try {
        const answer = await this.put(subject, served.length);
        served.forEach((waiter, i) => waiter.resolve({ answer, place: i + 1, count: served.length }));
      } catch (error) {
        // Those in line fail too: asking again for them would double how long they wait for a store that is away.
        for (const waiter of [...served, ...this.take(subject)]) waiter.reject(error);
      }
      served = this.take(subject);
    }
    this.lines.delete(subject);
  }

  private take(subject: string): readonly Waiter<T>[] {
    return this.lines.get(subject)?.splice(0) ?? [];
  }
}

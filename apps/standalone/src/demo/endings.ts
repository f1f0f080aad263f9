/** Things to end, newest first. */
export class Endings {
  private readonly list: (() => Promise<unknown>)[] = [];

  add<T>(thing: T, end: (thing: T) => Promise<unknown>): T {
    this.list.unshift(() => end(thing));
    return thing;
  }

  async all(): Promise<void> {
    for (const end of this.list.splice(0)) await end().catch(() => undefined);
  }
}

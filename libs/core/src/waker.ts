/** Wakes the one reader that waits for any of several things. Stirs that come while nobody waits are not lost. */
export class Waker {
  private stirred = false;
  private wake: (() => void) | null = null;

  stir(): void {
    this.stirred = true;
    this.wake?.();
    this.wake = null;
  }

  /** Resolves at the next stir, or at once where one has come since the last wait. */
  async wait(): Promise<void> {
    if (!this.stirred) await new Promise<void>((resolve) => (this.wake = resolve));
    this.stirred = false;
  }
}

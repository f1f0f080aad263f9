/** Waits until somebody stirs; a stir in between is not lost. */
export class Waker {
  private stirred = false;
  private wake: (() => void) | null = null;

  stir(): void {
    this.stirred = true;
    this.wake?.();
  }

  async wait(): Promise<void> {
    if (!this.stirred) await new Promise<void>((resolve) => (this.wake = resolve));
    this.wake = null;
    this.stirred = false;
  }
}

/** How much later than promised a question may be answered, ms: then it hangs, and is told by name. */
const HANGS_AFTER_MS = 20_000;

/**
 * Asks until `fn` gives something truthy, and gives that back. What it throws meanwhile is remembered for the message.
 *
 * @throws when `timeoutMs` have passed; the message says what was waited for and what was seen last. A question that
 * gets no answer is waited for a little longer than that, never for ever.
 */
export async function eventually<T>(
  what: string,
  fn: () => T | Promise<T>,
  { timeoutMs = 45_000, everyMs = 25 }: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let seen: string;
    try {
      const value = await answered(fn, deadline + HANGS_AFTER_MS - performance.now());
      if (value) return value;
      seen = JSON.stringify(value) ?? String(value);
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}; last seen: ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** @throws when nothing comes within `ms` */
async function answered<T>(fn: () => T | Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer to the question')), ms);
  });
  try {
    return await Promise.race([fn(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until the answer equals `expected`: readers see a commit some time after it was answered. */
export async function becomes(ask: () => Promise<unknown>, expected: unknown): Promise<void> {
  await eventually('it is as expected', async () => {
    expect(await ask()).toEqual(expected);
    return true;
  });
}

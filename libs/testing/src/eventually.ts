/**
 * Asks until `fn` gives something truthy, and gives that back. What it throws meanwhile is remembered for the message.
 *
 * @throws when `timeoutMs` have passed; the message says what was waited for and what was seen last.
 */
export async function eventually<T>(
  what: string,
  fn: () => T | Promise<T>,
  { timeoutMs = 20_000, everyMs = 25 }: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let seen: string;
    try {
      const value = await fn();
      if (value) return value;
      seen = JSON.stringify(value) ?? String(value);
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}; last seen: ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

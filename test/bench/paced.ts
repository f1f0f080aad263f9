/** Work at a steady rate on several sessions. */

/** Calls `one` for 1 … `total`, each at its time and on the next session that is free. @returns seconds */
export async function paced<Session>(
  sessions: readonly Session[],
  { perSecond, total }: { readonly perSecond: number; readonly total: number },
  one: (session: Session, n: number) => Promise<unknown>,
): Promise<number> {
  let next = 1;
  const began = performance.now();
  await Promise.all(
    sessions.map(async (session) => {
      for (;;) {
        const n = next++;
        if (n > total) return;
        const early = began + (n / perSecond) * 1000 - performance.now();
        if (early > 1) await new Promise((resolve) => setTimeout(resolve, early));
        await one(session, n);
      }
    }),
  );
  return (performance.now() - began) / 1000;
}

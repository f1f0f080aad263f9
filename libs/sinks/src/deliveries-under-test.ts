import { systemClock, type Intake, type TakenIn } from '@planasonix/core';

/** Until when an append may try, monotonic ms. */
export const soon = (ms = 3_000): number => systemClock.monotonic() + ms;

/** One delivery of one event, whose data has 9 bytes where its name has one letter. */
export const delivery = (name: string, of: Partial<Intake> = {}): Intake => ({
  ...{ id: `wh_${name}`, otherId: `wh_${name}~${of.sameDelivery ?? name}`, sameDelivery: name, sameId: name },
  ...{ windowMs: 60_000, type: 'com.planasonix.webhook.received', subject: 'hooks', expanded: false, inOrder: false },
  ...{ time: '2026-11-25T00:00:00.000Z', timeMs: 1_795_564_800_000 },
  parts: [{ partitionkey: '', data: Buffer.from(`{"n":"${name}"}`) }],
  ...of,
});

/** What is said of the delivery of that name. */
export const written = (name: string): TakenIn => ({ kind: 'written', id: `wh_${name}` });
export const repeated = (name: string): TakenIn => ({ kind: 'repeated', id: `wh_${name}` });

/** Stops whoever comes by once, until it is opened. */
export function gate(): { readonly reached: Promise<void>; readonly pass: () => Promise<void>; open(): void } {
  let [arrive, open] = [() => {}, () => {}];
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  const pass = () => {
    arrive();
    return opened;
  };
  return { reached, pass, open: () => open() };
}

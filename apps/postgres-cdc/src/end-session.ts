import type { Client } from 'pg';

/** A farewell that is not answered within this time is not waited for. */
const FAREWELL_MS = 1000;

/** Ends a session, whatever it is at: politely, or by cutting the socket. Never throws. */
export async function endSession(client: Client): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection;
  const timer = setTimeout(() => stream.destroy(), FAREWELL_MS);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

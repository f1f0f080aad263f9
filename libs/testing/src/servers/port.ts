import { createServer } from 'node:net';

// Below the range that the system hands out to outgoing connections, so a server can come back to its port.
const LOWEST = 15_000;
const HIGHEST = 31_999;

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });

/** Somebody here is about to listen on these. */
const given = new Set<number>();

/** A TCP port on 127.0.0.1 that nobody listens on at this moment, and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

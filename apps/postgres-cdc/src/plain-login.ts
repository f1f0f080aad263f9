import pg from 'pg';

/** The server asks for the password in clear, over a connection that is not encrypted. */
export class CleartextRefused extends Error {
  constructor() {
    super('the server asks for the password in clear, over a connection that is not encrypted');
  }
}

/**
 * A connection that does not say the password in clear: where TLS was not to be had and nobody asked to go without,
 * whoever has taken the connection would read it. What proves the password by a digest stays.
 */
export function silentConnection(keepAliveInitialDelayMillis: number): pg.Connection {
  const connection = new pg.Connection({ keepAlive: true, keepAliveInitialDelayMillis });
  // Heard before the driver hears it, which then has no socket to write to.
  connection.once('authenticationCleartextPassword', () => connection.stream.destroy(new CleartextRefused()));
  return connection;
}

import { randomUUID } from 'node:crypto';

const SAFE = /^[A-Za-z0-9._:/+=@-]{1,128}$/;

/** The client's id if it is safe to stand in a header and a log line, else a new one. */
export const requestIdFrom = (given: string | string[] | undefined): string =>
  typeof given === 'string' && SAFE.test(given) ? given : randomUUID();

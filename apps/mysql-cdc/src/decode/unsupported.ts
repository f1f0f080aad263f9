import { StreamError } from '@planasonix/core';

/** Never passed over: it could carry data (trap 19). */
export const unsupported = (what: string, hint?: string): StreamError =>
  new StreamError('event_unsupported', `The log holds ${what}.`, hint === undefined ? {} : { hint });

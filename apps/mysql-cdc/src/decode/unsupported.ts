import { StreamError } from '@planasonix/core';

/** Never passed over: it could carry data (trap 19). */
export const unsupported = (what: string, hint?: string): StreamError =>
  new StreamError('event_unsupported', `The log holds ${what}.`, hint === undefined ? {} : { hint });

/** The transaction that was read last is not there. */
export const foreign = (file: string, pos: number): StreamError =>
  new StreamError('source_identity_changed', `Another log has the place ${file} at ${pos}.`);

import { StreamError } from '@planasonix/core';
import { EVENT } from '../decode/event-types.js';
import { LogCursor } from '../log-cursor.js';
import type { LogPlace } from '../server.js';

/** First byte of a file behind its mark. */
export const FIRST_BYTE = 4;

/**
 * Passes over what stands before a place of a file that is read from its first byte. A server is asked for a place by
 * 32 bits; a file that one large transaction brought past 4 GiB may end in small ones that begin beyond.
 */
export class LogSkip {
  private readonly cursor: LogCursor;
  private arrived = false;

  constructor(
    private readonly place: LogPlace,
    checksums: boolean,
  ) {
    this.cursor = new LogCursor({ file: place.file, pos: FIRST_BYTE }, checksums);
  }

  /** Whether an event is one of those before the place. @throws StreamError `source_identity_changed` where none begins there */
  passes(event: Buffer): boolean {
    if (this.arrived) return false;
    const { cursor, place } = this;
    cursor.read(event);
    if (cursor.made || cursor.type === EVENT.FORMAT) return false;
    if (cursor.type === EVENT.ROTATE) this.arrived = cursor.pos === place.pos;
    else if (cursor.begin < place.pos) return true;
    else this.arrived = cursor.begin === place.pos;
    if (!this.arrived)
      throw new StreamError('source_identity_changed', `No event of ${place.file} begins at ${place.pos}.`);
    return false;
  }
}

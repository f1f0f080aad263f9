import { piece, type Piece } from './piece.js';

/** The end of an event's data: when it was written. The same for all of a millisecond. */
export class EventEnd {
  private ms = -1;
  private end = piece();

  text(): Piece {
    const now = Date.now();
    if (now !== this.ms) {
      this.ms = now;
      this.end = piece(`},"ts_ms":${now}}`);
    }
    return this.end;
  }
}

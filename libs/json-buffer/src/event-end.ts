/** The end of an event's data: when it was written. The same for all of a millisecond. */
export class EventEnd {
  private ms = -1;
  private bytes = Buffer.alloc(0);

  text(): Buffer {
    const now = Date.now();
    if (now !== this.ms) {
      this.ms = now;
      this.bytes = Buffer.from(`},"ts_ms":${now}}`);
    }
    return this.bytes;
  }
}

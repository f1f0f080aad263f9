import { crc32 } from 'node:zlib';
import { ARTIFICIAL, EVENT, HEADER_BYTES } from './decode/event-types.js';
import { unsupported } from './decode/unsupported.js';
import type { LogPlace } from './server.js';

const TWO_32 = 0x100000000;
const MADE: ReadonlySet<number> = new Set([EVENT.HEARTBEAT, EVENT.HEARTBEAT_2]);
/** Of the head of a file: who reads from amid it is sent them first, without a place. */
const HEADS: ReadonlySet<number> = new Set([EVENT.FORMAT, EVENT.MARIADB_START_ENCRYPTION]);

/** Takes events out of what they came in, and counts where in the log they stand. */
export class LogCursor {
  file: string;
  /** End of what was read, in bytes. */
  pos: number;
  /** Of the event that was read last: its number, */
  type = 0;
  flags = 0;
  /** whether the sender made it, so that it stands in no file, */
  made = false;
  /** where it begins, */
  begin = 0;
  /** it without its checksum, */
  whole: Buffer = Buffer.alloc(0);
  /** and without its head. */
  body: Buffer = this.whole;

  constructor(
    { file, pos }: LogPlace,
    /** Whether events end in a checksum; a file's head says it of those that follow. */
    private checksums: boolean,
  ) {
    this.file = file;
    this.pos = pos;
  }

  /** @param event with its head, as it came @throws StreamError `event_unsupported` where its bytes are not what was sent */
  read(event: Buffer): void {
    const type = (this.type = event[4]!);
    this.whole = this.verified(event, type);
    this.body = this.whole.subarray(HEADER_BYTES);
    this.flags = event.readUInt16LE(17);
    const logPos = event.readUInt32LE(13);
    this.made = (this.flags & ARTIFICIAL) !== 0 || MADE.has(type) || (logPos === 0 && HEADS.has(type));
    if (this.made || type === EVENT.ROTATE) return;
    if (type === EVENT.FORMAT) {
      this.pos = Math.max(this.pos, logPos);
      return;
    }
    // Past 4 GiB the log counts from 0 again. Amid transactions MariaDB 11.8 says no place (`binlog_legacy_event_pos`).
    let end = logPos === 0 ? this.pos + event.length : Math.floor(this.pos / TWO_32) * TWO_32 + logPos;
    if (end < this.pos) end += TWO_32;
    this.begin = end - event.length;
    this.pos = end;
  }

  /** Where a ROTATE event leads; `null`: it says only where we are. */
  rotation(): LogPlace | null {
    const file = this.body.toString('utf8', 8);
    return this.made && file === this.file ? null : { file, pos: Number(this.body.readBigUInt64LE(0)) };
  }

  enter({ file, pos }: LogPlace): void {
    this.file = file;
    this.pos = pos;
  }

  /** Verifies an event's checksum and takes it off (trap 21). */
  private verified(event: Buffer, type: number): Buffer {
    if (event.length < HEADER_BYTES || event.readUInt32LE(9) !== event.length)
      throw unsupported('an event that is cut short');
    if (type === EVENT.FORMAT) this.checksums = event[event.length - 5] === 1;
    if (!this.checksums) return type === EVENT.FORMAT ? event.subarray(0, -4) : event;
    const end = event.length - 4;
    if (crc32(event.subarray(0, end)) !== event.readUInt32LE(end))
      throw unsupported('an event whose checksum is wrong');
    return event.subarray(0, end);
  }
}

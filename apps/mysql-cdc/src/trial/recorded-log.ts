import { crc32 } from 'node:zlib';
import { ARTIFICIAL, EVENT, HEADER_BYTES } from '../decode/event-types.js';
import { FIRST_BYTE } from '../wire/log-skip.js';
import { BEFORE, CHANGES, FILE } from './recorded-events.js';
import type { Recording } from './recorded-server.js';

/** How a version lays out its log. */
export interface LogForm {
  readonly version: string;
  /** How many types of events the head of a file tells the sizes of. */
  readonly eventTypes: number;
  /** Its GTIDs may have tags. */
  readonly tags: boolean;
}

export interface RecordedLog {
  /** Where reading begins: what stands behind it is written later. */
  readonly begin: number;
  readonly play: Recording['log'];
}

/** Format of the log, name of the server in 50 bytes, time, size of a head. */
const FIXED_BYTES = 2 + 50 + 4 + 1;
const VERSION_BYTES = 50;
const CHECKSUM_BYTES = 4;

/** An event with its head and an empty checksum, as one that stands in a file up to `end`. */
function placed(event: Buffer, end: number, flags = event.readUInt16LE(17)): Buffer {
  const bytes = Buffer.from(event);
  bytes.writeUInt32LE(bytes.length, 9);
  bytes.writeUInt32LE(end, 13);
  bytes.writeUInt16LE(flags, 17);
  const body = bytes.length - CHECKSUM_BYTES;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, body)), body);
  return bytes;
}

/** The head of a file as a version writes it. */
function headOf(recorded: Buffer, { version, eventTypes }: LogForm): Buffer {
  const name = Buffer.alloc(VERSION_BYTES);
  name.write(version, 'latin1');
  const sizes = HEADER_BYTES + FIXED_BYTES;
  return Buffer.concat([
    recorded.subarray(0, HEADER_BYTES + 2),
    name,
    recorded.subarray(HEADER_BYTES + 2 + VERSION_BYTES, sizes + eventTypes),
    // Kind of the checksum, and it.
    recorded.subarray(-1 - CHECKSUM_BYTES),
  ]);
}

/** What a server says before the first event: in which file it is. */
function rotation(pos: number): Buffer {
  const event = Buffer.alloc(HEADER_BYTES + 8 + FILE.length + CHECKSUM_BYTES);
  event[4] = EVENT.ROTATE;
  event.writeUInt32LE(1, 5);
  event.writeBigUInt64LE(BigInt(pos), HEADER_BYTES);
  event.write(FILE, HEADER_BYTES + 8, 'latin1');
  return placed(event, 0, ARTIFICIAL);
}

export function recordedLog(form: LogForm): RecordedLog {
  const bytes = (events: readonly string[]): Buffer[] => events.map((event) => Buffer.from(event, 'base64'));
  const [head, ...before] = bytes(BEFORE);
  const later = CHANGES.flatMap(({ tagged, events }) => (tagged && !form.tags ? [] : bytes(events)));
  let pos = FIRST_BYTE;
  const at = new Map<number, number>();
  const events = [headOf(head!, form), ...before, ...later].map((event, i) => {
    at.set(pos, i);
    return placed(event, (pos += event.length));
  });
  at.set(pos, events.length);
  const begin = [...at].find(([, i]) => i === BEFORE.length)![0];
  return {
    begin,
    play(file, from, follow) {
      const first = at.get(from);
      if (file !== FILE || first === undefined) return null;
      const head = from === FIRST_BYTE ? [] : [placed(events[0]!, 0)];
      return [rotation(from), ...head, ...events.slice(first, follow ? undefined : Math.max(first, BEFORE.length))];
    },
  };
}

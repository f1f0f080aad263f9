import { EventEmitter } from 'node:events';
import type { Connection } from 'mysql2';

/** A packet of the driver: `start` is its head of four bytes. */
interface DriverPacket {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  isError(): boolean;
  isEOF(): boolean;
  asError(encoding: string): Error;
}

interface DriverConnection {
  _resetSequenceId(): void;
  writePacket(packet: object): void;
  addCommand(command: object): void;
}

const REGISTER_REPLICA = 0x15;
const BINLOG_DUMP = 0x12;
/** Ends at the end of the log in place of waiting for more. */
const NON_BLOCK = 1;

export interface DumpOptions {
  readonly serverId: number;
  readonly file: string;
  readonly pos: number;
  /** Follows the log as it grows; else it ends where the log does. */
  readonly follow: boolean;
}

/** What the driver puts on the wire: it fills in length and sequence. */
function packetOf(payload: Buffer): object {
  const buffer = Buffer.concat([Buffer.alloc(4), payload]);
  return {
    ...{ buffer, offset: 0 },
    length: () => buffer.length,
    writeHeader: (sequence: number) => {
      buffer.writeUIntLE(buffer.length - 4, 0, 3);
      buffer[3] = sequence;
    },
  };
}

/** A command in the driver's queue. It has no types for those that it does not bring itself. */
abstract class Command extends EventEmitter {
  private sent = false;

  abstract payload(): Buffer;
  /** @returns whether it is over */
  abstract answered(packet: DriverPacket): boolean;

  execute(packet: DriverPacket | undefined, connection: DriverConnection): boolean {
    if (!this.sent) {
      this.sent = true;
      connection._resetSequenceId();
      connection.writePacket(packetOf(this.payload()));
      return false;
    }
    if (packet === undefined) return false;
    if (packet.isError()) {
      this.emit('failed', packet.asError('utf8'));
      return true;
    }
    return this.answered(packet);
  }
}

/** Makes the reader show among the server's replicas, so that nobody takes its number. */
class Register extends Command {
  constructor(
    private readonly serverId: number,
    private readonly host: string,
  ) {
    super();
  }

  payload(): Buffer {
    const host = Buffer.from(this.host.slice(0, 60));
    const head = Buffer.alloc(6);
    head[0] = REGISTER_REPLICA;
    head.writeUInt32LE(this.serverId, 1);
    head[5] = host.length;
    // No user, no password, no port; rank and source are the server's to say.
    return Buffer.concat([head, host, Buffer.alloc(2 + 2 + 4 + 4)]);
  }

  answered(): boolean {
    this.emit('done');
    return true;
  }
}

class Dump extends Command {
  constructor(private readonly options: DumpOptions) {
    super();
  }

  payload(): Buffer {
    const { serverId, file, pos, follow } = this.options;
    const payload = Buffer.alloc(11 + Buffer.byteLength(file));
    payload[0] = BINLOG_DUMP;
    payload.writeUInt32LE(pos, 1);
    payload.writeUInt16LE(follow ? 0 : NON_BLOCK, 5);
    payload.writeUInt32LE(serverId, 7);
    payload.write(file, 11);
    return payload;
  }

  answered(packet: DriverPacket): boolean {
    if (packet.isEOF()) {
      this.emit('done');
      return true;
    }
    // Behind a byte that says that all is well.
    this.emit('event', packet.buffer.subarray(packet.start + 5, packet.end));
    return false;
  }
}

const queue = (connection: Connection, command: Command): void =>
  (connection as unknown as DriverConnection).addCommand(command);

export function register(connection: Connection, serverId: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const command = new Register(serverId, host);
    command.once('done', resolve);
    command.once('failed', reject);
    connection.once('error', reject);
    queue(connection, command);
  });
}

export interface DumpListener {
  /** An event with its head; the bytes are its own. */
  event(event: Buffer): void;
  /** The log ended, or the server would not go on. */
  ended(error: Error | null): void;
}

/** Asks for the log; nothing else can be asked of this connection any more. */
export function dump(connection: Connection, options: DumpOptions, listener: DumpListener): void {
  const command = new Dump(options);
  command.on('event', (event: Buffer) => listener.event(event));
  command.once('done', () => listener.ended(null));
  command.once('failed', (error: Error) => listener.ended(error));
  connection.on('error', (error: Error) => listener.ended(error));
  queue(connection, command);
}

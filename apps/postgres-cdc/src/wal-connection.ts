import { StreamError } from '@planasonix/core';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import type { Client, ClientConfig } from 'pg';
import { CopyTap, type TappedStream } from './copy-tap.js';
import { lsnText } from './decode/index.js';
import { quoteIdent, quoteLiteral } from './identifier.js';
import { instanceOf } from './instance.js';
import type { ServerIdentity } from './position.js';
import { identify } from './slot.js';

/** What `pg` keeps to itself: the protocol connection under a client. */
interface WireConnection {
  readonly stream: TappedStream & { pause(): void; resume(): void; destroy(): void };
}

export interface WalHandlers {
  /** A change. The bytes are valid during the call only. */
  data(message: Buffer, lsnHigh: number, lsnLow: number): void;
  /** The server's WAL goes up to `walEnd`. */
  keepalive(walEnd: bigint, mustAnswer: boolean): void;
  /** The connection is over. */
  failed(error: Error): void;
}

const [XLOG_DATA, KEEPALIVE] = [0x77, 0x6b];
/** Kind, start and end of the WAL, the server's time. */
const XLOG_HEADER = 25;

/** pgoutput through the library, with a start of ours: quoted names (trap 16), and its per-row event taken out of the path. */
class PgoutputStart extends PgoutputPlugin {
  constructor(
    private readonly of: {
      readonly publication: string;
      readonly messages: boolean;
      readonly server: ServerIdentity;
      readonly instance: string | null;
      readonly handlers: WalHandlers;
      opened(wire: WireConnection): void;
    },
  ) {
    super({ protoVersion: 1, publicationNames: [of.publication] });
  }

  override async start(client: Client, slotName: string, lsn: string): Promise<unknown> {
    const { publication, messages, server, instance, handlers } = this.of;
    await sameServer(client, server, instance);
    const wire = (client as unknown as { connection: WireConnection }).connection;
    new CopyTap(wire.stream, (bytes, start, end) => {
      const kind = bytes[start];
      if (kind === XLOG_DATA)
        handlers.data(
          bytes.subarray(start + XLOG_HEADER, end),
          bytes.readUInt32BE(start + 1),
          bytes.readUInt32BE(start + 5),
        );
      else if (kind === KEEPALIVE) handlers.keepalive(bytes.readBigUInt64BE(start + 1), bytes[start + 17] === 1);
    });
    this.of.opened(wire);
    const options = `proto_version '1', publication_names ${quoteLiteral(quoteIdent(publication))}${messages ? ", messages 'true'" : ''}`;
    return client.query(`START_REPLICATION SLOT ${quoteIdent(slotName)} LOGICAL ${lsn} (${options})`);
  }
}

/** An address may lead to another server than a moment ago, where the place means something else (trap 6). */
async function sameServer(client: Client, server: ServerIdentity, instance: string | null): Promise<void> {
  const { system_id: system, timeline } = await identify(client);
  const same = system === server.system_id && timeline === server.timeline;
  if (!same || (instance !== null && instance !== (await instanceOf(client))))
    throw new StreamError('source_unreachable', 'Another server took over while the stream was being opened.');
}

export interface WalPlace {
  readonly slot: string;
  readonly publication: string;
  readonly from: bigint;
  /** Logical messages are wanted. */
  readonly messages: boolean;
  /** Nothing is read from any other. */
  readonly server: ServerIdentity;
  /** Nor from another process of it (`instanceOf`); `null`: any will do. */
  readonly instance: string | null;
}

/** The replication connection of one read: opened once, closed once. */
export class WalConnection {
  readonly service: LogicalReplicationService;
  private wire: WireConnection | null = null;
  private closed = false;
  private closing: Promise<void> | null = null;
  private paused = false;
  /** Ends an opening that is under way: the driver says nothing of one that was ended while it dialled. */
  private abandon: (error: Error) => void = () => undefined;

  constructor(
    config: ClientConfig,
    private readonly handlers: WalHandlers,
  ) {
    // Its own acknowledging is off, all of it: it confirms what was merely received (trap 2).
    this.service = new LogicalReplicationService(config, {
      acknowledge: { auto: false, timeoutSeconds: 0 },
      flowControl: { enabled: false },
    });
  }

  /** Resolves when the server has begun to send. @throws the driver's error otherwise. */
  async open({ slot, from, ...of }: WalPlace): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.abandon = reject;
      if (this.closed) return reject(new StreamError('source_unreachable', 'The replication connection was closed.'));
      const end = (error: Error): void => {
        reject(error);
        if (!this.closed) this.handlers.failed(error);
      };
      this.service.on('start', () => resolve());
      this.service.on('error', end);
      const plugin = new PgoutputStart({
        ...of,
        handlers: this.handlers,
        opened: (wire) => (this.wire = wire),
      });
      this.service.subscribe(plugin, slot, lsnText(from)).then(
        // The server ends the copy only when it shuts down or the connection is cut.
        () => end(new StreamError('source_unreachable', 'The server ended the replication connection.')),
        (error: unknown) => end(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }

  /** Nothing is taken from the server. */
  get stands(): boolean {
    return this.paused;
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.wire?.stream.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.wire?.stream.resume();
  }

  /** Resolves when the server need not take the slot for read any more; also a second time. */
  close(): Promise<void> {
    return (this.closing ??= this.end());
  }

  private async end(): Promise<void> {
    this.closed = true;
    this.resume();
    // A server that does not answer any more must not keep us: the socket goes with the farewell, or without.
    const wire = this.wire;
    const timer = setTimeout(() => wire?.stream.destroy(), 1000);
    await this.service.destroy().catch(() => undefined);
    clearTimeout(timer);
    wire?.stream.destroy();
    this.abandon(new StreamError('source_unreachable', 'The replication connection was closed.'));
  }
}

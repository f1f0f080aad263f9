import { createHash } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';

/** What a server answers to a question: rows, nothing but that it is done, or an error. */
export type Answer =
  | { readonly columns: readonly string[]; readonly rows: readonly (readonly (string | null)[])[] }
  | 'done'
  | { readonly errno: number; readonly state: string; readonly message: string };

/** A server that is not there: what it says of itself, what it answers, and the events of its log. */
export interface Recording {
  /** `8.0.21` */
  readonly version: string;
  readonly user: string;
  readonly password: string;
  /** @returns `null`: there is no such question in the recording */
  answer(sql: string): Answer | null;
  /**
   * Events with their heads from a place on, as they are sent. @param follow also those that are written later
   * @returns `null`: there is no such place
   */
  log(file: string, pos: number, follow: boolean): readonly Buffer[] | null;
}

export interface RecordedServer {
  readonly port: number;
  /** Everything that was asked. */
  readonly asked: readonly string[];
  /** What was asked and is not in the recording: a server of that version says that it does not know it. */
  readonly unknown: readonly string[];
  close(): void;
}

const QUIT = 0x01;
const QUERY = 0x03;
const BINLOG_DUMP = 0x12;
const REGISTER_REPLICA = 0x15;
const NON_BLOCK = 1;
/** Protocol of 4.1, its passwords, plugins for login with lengths before their data, attributes, transactions. */
const CAPABILITIES = 0x0038_a209;
const UTF8MB4 = 45;
const SALT = Buffer.from('saltsaltsaltsaltsalt');
const PLUGIN = 'caching_sha2_password';

const OK = Buffer.from([0, 0, 0, 2, 0, 0, 0]);
const EOF = Buffer.from([0xfe, 0, 0, 2, 0]);
const FAST_LOGIN = Buffer.from([1, 3]);

const sha256 = (...parts: readonly Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

/** What `caching_sha2_password` sends in place of a password. */
function scrambled(password: string): Buffer {
  const once = sha256(Buffer.from(password));
  const mask = sha256(sha256(once), SALT);
  return once.map((byte, i) => byte ^ mask[i]!) as Buffer;
}

function greeting(version: string): Buffer {
  const middle = Buffer.alloc(18);
  middle.writeUInt16LE(CAPABILITIES & 0xffff, 0);
  middle[2] = UTF8MB4;
  middle.writeUInt16LE(2, 3);
  middle.writeUInt16LE(CAPABILITIES >>> 16, 5);
  middle[7] = SALT.length + 1;
  const head = Buffer.from(`\x0a${version}\0\x01\0\0\0`, 'latin1');
  return Buffer.concat([head, SALT.subarray(0, 8), Buffer.alloc(1), middle, SALT.subarray(8), Buffer.from(`\0${PLUGIN}\0`)]); // prettier-ignore
}

const length = (bytes: number): Buffer => {
  if (bytes < 0xfb) return Buffer.from([bytes]);
  const long = Buffer.alloc(4, 0xfd);
  long.writeUIntLE(bytes, 1, 3);
  return long;
};
const text = (value: string): Buffer => Buffer.concat([length(Buffer.byteLength(value)), Buffer.from(value)]);
const cell = (value: string | null): Buffer => (value === null ? Buffer.from([0xfb]) : text(value));

const column = (name: string): Buffer =>
  Buffer.concat([
    ...['def', '', '', '', name, name].map(text),
    Buffer.from([12, UTF8MB4, 0, 0, 4, 0, 0, 0xfd, 0, 0, 0, 0, 0]),
  ]);

function answered(answer: Answer): readonly Buffer[] {
  if (answer === 'done') return [OK];
  if ('errno' in answer) {
    const head = Buffer.from([0xff, answer.errno & 0xff, answer.errno >> 8]);
    return [Buffer.concat([head, Buffer.from(`#${answer.state}${answer.message}`)])];
  }
  const { columns, rows } = answer;
  return [length(columns.length), ...columns.map(column), EOF, ...rows.map((row) => Buffer.concat(row.map(cell))), EOF];
}

const SYNTAX = (version: string, sql: string): Answer => ({
  ...{ errno: 1064, state: '42000' },
  message: `You have an error in your SQL syntax; check the manual of ${version} near '${sql.slice(0, 40)}'`,
});
const NO_SUCH_PLACE: Answer = {
  ...{ errno: 1236, state: 'HY000' },
  message: 'Client requested source to start replication from impossible position',
};

/** Speaks MySQL's protocol, and knows nothing but its recording. */
export async function playRecording(recording: Recording): Promise<RecordedServer> {
  const sockets = new Set<Socket>();
  const asked: string[] = [];
  const unknown: string[] = [];

  function command(body: Buffer): readonly Buffer[] {
    const [kind] = body;
    if (kind === REGISTER_REPLICA) return [OK];
    if (kind === BINLOG_DUMP) {
      const follow = (body.readUInt16LE(5) & NON_BLOCK) === 0;
      const events = recording.log(body.toString('utf8', 11), body.readUInt32LE(1), follow);
      if (events === null) return answered(NO_SUCH_PLACE);
      return [...events.map((event) => Buffer.concat([Buffer.alloc(1), event])), ...(follow ? [] : [EOF])];
    }
    const sql = kind === QUERY ? body.toString('utf8', 1) : `command ${kind}`;
    asked.push(sql);
    const answer = recording.answer(sql);
    if (answer !== null) return answered(answer);
    unknown.push(sql);
    return answered(SYNTAX(recording.version, sql));
  }

  function login(body: Buffer): readonly Buffer[] {
    const user = body.toString('latin1', 32, body.indexOf(0, 32));
    const proof = body.subarray(32 + user.length + 2, 32 + user.length + 2 + 32);
    if (user === recording.user && proof.equals(scrambled(recording.password))) return [FAST_LOGIN, OK];
    return answered({ errno: 1045, state: '28000', message: `Access denied for user '${user}'@'localhost'` });
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    const send = (sequence: number, packets: readonly Buffer[]): void => {
      const all = packets.flatMap((payload, i) => {
        const head = Buffer.alloc(4);
        head.writeUIntLE(payload.length, 0, 3);
        head[3] = (sequence + i) & 0xff;
        return [head, payload];
      });
      // In one go: an acknowledgement of the first part would be waited for.
      socket.write(Buffer.concat(all));
    };
    let greeted = false;
    let waiting = Buffer.alloc(0);
    const take = (body: Buffer, sequence: number): void => {
      if (greeted && body[0] === QUIT) return void socket.end();
      send(sequence + 1, greeted ? command(body) : login(body));
      greeted = true;
    };
    socket.on('data', (data) => {
      waiting = Buffer.concat([waiting, data]);
      while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUIntLE(0, 3)) {
        const end = 4 + waiting.readUIntLE(0, 3);
        const [body, sequence] = [waiting.subarray(4, end), waiting[3]!];
        waiting = waiting.subarray(end);
        take(body, sequence);
      }
    });
    send(0, [greeting(recording.version)]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    unknown,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

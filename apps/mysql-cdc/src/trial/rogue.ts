import { generateKeyPairSync, privateDecrypt } from 'node:crypto';
import { createServer, type AddressInfo, type Socket } from 'node:net';

const LOCAL_FILES = 0x80;
const CAPABILITIES = 0x0008_8288 | LOCAL_FILES;

/** Puts length and sequence before what is said. */
const packet = (sequence: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUIntLE(payload.length, 0, 3);
  head[3] = sequence;
  return Buffer.concat([head, payload]);
};

function greeting(plugin: string): Buffer {
  const middle = Buffer.alloc(18);
  middle.writeUInt16LE(CAPABILITIES & 0xffff, 0);
  middle[2] = 45;
  middle.writeUInt16LE(2, 3);
  middle.writeUInt16LE(CAPABILITIES >>> 16, 5);
  middle[7] = 21;
  return Buffer.concat([
    Buffer.from('\x0a8.0.36\0\x01\0\0\0saltsalt\0', 'latin1'),
    middle,
    Buffer.from(`saltsaltsalt\0${plugin}\0`),
  ]);
}

/** A server that lets everybody in and answers each question by asking for a file of the client's (trap 21). */
export async function startRogue(file: string): Promise<{
  readonly port: number;
  /** Everything that was sent to it. */
  heard(): Buffer;
  /** Whether the client said at login that it would send files. */
  offered(): boolean;
  asked(): number;
  close(): void;
}> {
  const heard: Buffer[] = [];
  const sockets = new Set<Socket>();
  let offered = false;
  let asked = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write(packet(0, greeting('mysql_native_password')));
    let loggedIn = false;
    socket.on('data', (data) => {
      heard.push(data);
      if (!loggedIn) {
        loggedIn = true;
        offered = offered || (data.readUInt32LE(4) & LOCAL_FILES) !== 0;
        socket.write(packet(2, Buffer.from([0, 0, 0, 2, 0, 0, 0])));
        return;
      }
      // No file: an empty packet.
      if (data.length === 4) return void socket.write(packet(3, Buffer.from([0, 0, 0, 2, 0, 0, 0])));
      asked += 1;
      socket.write(packet(1, Buffer.concat([Buffer.from([0xfb]), Buffer.from(file)])));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => Buffer.concat(heard),
    offered: () => offered,
    asked: () => asked,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A server without TLS that lets nobody in, and gives its own key for the password to be encrypted with. */
export async function startKeyGiver(plugin: 'caching_sha2_password' | 'sha256_password'): Promise<{
  readonly port: number;
  /** What came after the key, in clear. */
  passwords(): readonly string[];
  close(): void;
}> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const passwords: string[] = [];
  const salt = Buffer.from('saltsaltsaltsaltsalt');
  const key = Buffer.from(`\x01${publicKey.export({ type: 'spki', format: 'pem' }).toString()}`);
  const answers = [
    Buffer.concat([Buffer.from(`\xfe${plugin}\0`, 'latin1'), salt, Buffer.from([0])]),
    ...(plugin === 'sha256_password' ? [] : [Buffer.from([1, 4])]),
    key,
  ];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(packet(0, greeting(plugin)));
    let turn = 0;
    socket.on('data', (data) => {
      const answer = answers[turn++];
      if (answer !== undefined) return void socket.write(packet(data[3]! + 1, answer));
      const mixed = privateDecrypt({ key: privateKey, oaepHash: 'sha1' }, data.subarray(4));
      passwords.push(Buffer.from(mixed.map((byte, i) => byte ^ salt[i % salt.length]!)).toString());
      socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { port, passwords: () => passwords, close: () => server.close() };
}

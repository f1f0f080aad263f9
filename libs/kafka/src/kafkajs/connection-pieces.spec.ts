import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { RequestPieces } from './connection-pieces.js';

/** A stream in place of a socket: what was written to it. */
function socketUnderTest(beside: RequestPieces) {
  const written: Buffer[] = [];
  const stream = new Duplex({
    read: () => undefined,
    write: (piece: Buffer, _, done) => {
      written.push(Buffer.from(piece));
      done();
    },
  });
  const socket = beside.through(stream as unknown as Socket);
  return { socket, all: () => Buffer.concat(written) };
}

/** As kafkajs frames it: its length, the head, what it was given. */
function framed(head: string, payload: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(head.length + payload.length);
  return Buffer.concat([size, Buffer.from(head), payload]);
}

describe('a request with large pieces', () => {
  it('is on the wire what it would have been in one, each where its own head is', () => {
    const beside = new RequestPieces();
    const { socket, all } = socketUnderTest(beside);
    const pieces = ['first', 'second'].map((name) => [Buffer.from(name), Buffer.alloc(5_000, name)]);
    const [first, second] = pieces.map((some) => beside.leave(some));
    socket.write(framed('head 2', second!));
    socket.write(framed('small', Buffer.from('as it is')));
    socket.write(framed('head 1', first!));
    const whole = [
      framed('head 2', Buffer.concat(pieces[1]!)),
      framed('small', Buffer.from('as it is')),
      framed('head 1', Buffer.concat(pieces[0]!)),
    ];
    expect(all().equals(Buffer.concat(whole))).toBe(true);
  });

  it('is forgotten once it is over, and what only looks like a token is written as it is', () => {
    const beside = new RequestPieces();
    const { socket, all } = socketUnderTest(beside);
    const token = beside.leave([Buffer.from('never written')]);
    beside.forget(token);
    socket.write(framed('head', token));
    const foreign = new RequestPieces().leave([Buffer.from('of another connection')]);
    socket.write(framed('head', foreign));
    expect(all().equals(Buffer.concat([framed('head', token), framed('head', foreign)]))).toBe(true);
  });
});

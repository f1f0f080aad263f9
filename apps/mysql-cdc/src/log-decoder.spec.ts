import { crc32 } from 'node:zlib';
import type { Charsets } from './decode/charsets.js';
import { LogDecoder } from './log-decoder.js';
import type { Flavor } from './server.js';
import { TableBook, type TableBookDeps } from './table-book.js';
import { CHANGES, UUID } from './trial/recorded-events.js';

const [ROTATE, XID, INCIDENT, QUERY, PREPARE, PARTIAL, PAYLOAD, MARIADB_GTID] = [4, 16, 26, 2, 38, 39, 40, 162];
const START = { file: 'binlog.000001', pos: 100, gtid: null, at: null, proof: null, head: 'h', gtids: null };

/** Events as a server writes them, one behind the other. */
class Log {
  private pos: number;

  constructor(from = START.pos) {
    this.pos = from;
  }

  event(type: number, body: Buffer = Buffer.alloc(8), { flags = 0, made = false, checksum = false } = {}): Buffer {
    const size = 19 + body.length + (checksum ? 4 : 0);
    const head = Buffer.alloc(19);
    head.writeUInt32LE(1_700_000_000, 0);
    head[4] = type;
    head.writeUInt32LE(1, 5);
    head.writeUInt32LE(size, 9);
    if (!made) this.pos += size;
    head.writeUInt32LE(made ? 0 : this.pos % 0x100000000, 13);
    head.writeUInt16LE(flags, 17);
    const event = Buffer.concat([head, body]);
    if (!checksum) return event;
    const end = Buffer.alloc(4);
    end.writeUInt32LE(crc32(event));
    return Buffer.concat([event, end]);
  }

  gtid(seq: number): Buffer {
    const body = Buffer.alloc(19);
    body.writeBigUInt64LE(BigInt(seq));
    return this.event(MARIADB_GTID, body);
  }

  statement(sql: string): Buffer {
    // Of no database, with nothing that its client had set.
    return this.event(QUERY, Buffer.concat([Buffer.alloc(14), Buffer.from(sql)]));
  }

  /** One that was recorded. */
  again(event: Buffer): Buffer {
    return this.event(event[4]!, event.subarray(19, -4), { flags: event.readUInt16LE(17) });
  }
}

/** A transaction of MySQL: its GTID, BEGIN, three times a table and a row of it, XID. */
const [GTID, ...RECORDED] = CHANGES[0]!.events.map((text) => Buffer.from(text, 'base64')) as [Buffer, ...Buffer[]];
const [BEGIN, TABLE, ROW] = RECORDED as [Buffer, Buffer, Buffer];

/** Tables as the log tells them, all of which are read, or none. */
function tables(read: boolean): TableBook {
  const charsets = { nameOf: () => 'utf8mb4', has: () => true, of: () => null } as unknown as Charsets;
  const server = { flavor: 'mysql', foldsCase: false };
  const deps = { server, charsets, asks: () => read, excludedOf: () => new Set(), kinds: {} };
  return new TableBook(deps as unknown as TableBookDeps);
}

const rotation = (file: string): Buffer => Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(file)]);

type From = ConstructorParameters<typeof LogDecoder>[1];

function decoder(
  from: From = START,
  checksums = false,
  flavor: Flavor = 'mariadb',
  book = { forgetIds: () => undefined } as unknown as TableBook,
): LogDecoder {
  const deps = { flavor, attempt: 1, origin: 1, book, asks: () => true, foldsCase: false };
  return new LogDecoder(deps, from, checksums);
}

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
};

describe('the log, event by event', () => {
  it.each([
    ['an incident', INCIDENT],
    ['a partial update of JSON', PARTIAL],
    ['what nobody knows', 99],
  ])('ends at %s and does not pass it (trap 19)', (_, type) => {
    expect(code(() => decoder().feed(new Log().event(type)))).toBe('event_unsupported');
  });

  it('proves a compressed transaction by what it is in the log, and does not inflate it again (trap 17)', () => {
    const log = new Log();
    const xid = new Log().event(XID);
    const payload = Buffer.concat([Buffer.from([2, 3, 252, 255, 0, 1, 1, xid.length, 0]), xid]);
    const all = [log.gtid(7), log.event(PAYLOAD, payload)];
    const first = decoder();
    for (const event of all) void first.feed(event);
    while (first.more) void first.feedPacked();
    const { place } = first;
    expect(place).toMatchObject({ pos: START.pos + all[0]!.length + all[1]!.length, gtid: '0-1-7' });
    const again = decoder({ ...place, gtids: null });
    for (const event of all) void again.feed(event);
    expect([again.more, again.inside]).toEqual([false, false]);
    all[1]!.writeUInt8(1, all[1]!.length - 1);
    const other = decoder({ ...place, gtids: null });
    expect(code(() => all.forEach((event) => void other.feed(event)))).toBe('source_identity_changed');
  });

  it('ends at a compressed transaction that can not be read, or has no end (trap 19)', () => {
    const read = (body: Buffer): string => {
      const [one, log] = [decoder(), new Log()];
      void one.feed(log.gtid(7));
      void one.feed(log.event(PAYLOAD, body));
      return code(() => {
        while (one.more) void one.feedPacked();
      });
    };
    const event = new Log().event(XID);
    // Not compressed, so many bytes, and here they are.
    const whole = Buffer.concat([Buffer.from([2, 3, 252, 255, 0, 1, 1, event.length, 0]), event]);
    expect(read(whole)).toBe('none');
    expect(read(whole.subarray(0, -1))).toBe('event_unsupported');
    const silent = new Log().event(3);
    expect(read(Buffer.concat([Buffer.from([1, 1, silent.length, 0]), silent]))).toBe('event_unsupported');
  });

  it('passes what says of itself that nobody has to know it', () => {
    expect(code(() => decoder().feed(new Log().event(99, undefined, { flags: 0x80 })))).toBe('none');
  });

  it('takes no event whose bytes were changed on the way (trap 21)', () => {
    const event = new Log().event(XID, undefined, { checksum: true });
    expect(code(() => decoder(START, true).feed(event))).toBe('none');
    event[20]! ^= 1;
    expect(code(() => decoder(START, true).feed(event))).toBe('event_unsupported');
    expect(code(() => decoder().feed(new Log().event(QUERY).subarray(0, 25)))).toBe('event_unsupported');
  });

  it('moves its place at a commit and nowhere else (trap 18)', async () => {
    const log = new Log();
    const one = decoder(START, false, 'mysql', tables(true));
    const rest = RECORDED.slice(3, -1).map((event) => log.again.bind(log, event));
    const begun = [GTID, BEGIN, TABLE, ROW].map((event) => log.again.bind(log, event));
    for (const next of [...begun, () => log.statement('SAVEPOINT one'), ...rest]) {
      await one.feed(next());
      expect([one.place, one.moved, one.committed]).toEqual([START, false, 0]);
    }
    expect(one.encoder.events).toHaveLength(3);
    await one.feed(log.again(RECORDED.at(-1)!));
    const pos = log.event(XID).readUInt32LE(13) - 27;
    expect(one.place).toMatchObject({ file: 'binlog.000001', pos, gtid: `${UUID}:4`, proof: { begin: 100 } });
    expect([one.moved, one.committed]).toEqual([true, 3]);
  });

  it('takes XA PREPARE for no commit: what may yet be taken back is not told (trap 18)', async () => {
    const prepared = async (one: LogDecoder): Promise<void> => {
      const log = new Log();
      await one.feed(log.again(GTID));
      await one.feed(log.statement("XA START X'6f6e65',X'',1"));
      await one.feed(log.again(TABLE));
      await one.feed(log.again(ROW));
      await one.feed(log.statement("XA END X'6f6e65',X'',1"));
      await one.feed(log.event(PREPARE));
    };
    const one = decoder(START, false, 'mysql', tables(true));
    await expect(prepared(one)).rejects.toMatchObject({ code: 'xa_unsupported' });
    expect([one.place, one.committed, one.encoder.events]).toEqual([START, 0, []]);
    // Of tables that nobody reads there is nothing to be told, whatever becomes of them.
    const other = decoder(START, false, 'mysql', tables(false));
    await prepared(other);
    expect([other.inside, other.committed, other.encoder.events]).toEqual([false, 0, []]);
  });

  it('counts on past 4 GiB in a file', () => {
    const from = { ...START, pos: 0xfffffff0 };
    const [one, log] = [decoder(from), new Log(from.pos)];
    void one.feed(log.gtid(7));
    void one.feed(log.event(XID));
    expect(one.place).toMatchObject({ pos: 0xfffffff0 + 65, proof: { begin: 0xfffffff0 } });
  });

  it('reads an event that ends at 4 GiB, where the log counts from 0 again', () => {
    const from = { ...START, pos: 0x100000000 - 38 };
    const [one, log] = [decoder(from), new Log(from.pos)];
    void one.feed(log.gtid(7));
    void one.feed(log.event(XID));
    expect(one.place).toMatchObject({ pos: 0x100000000 + 27, gtid: '0-1-7', proof: { begin: from.pos } });
  });

  it('forgets half a transaction that a crash left at the end of a file, unless its changes were told', () => {
    const [one, log] = [decoder(), new Log()];
    void one.feed(log.gtid(7));
    void one.feed(log.event(ROTATE, rotation('binlog.000002'), { made: true, flags: 0x20 }));
    expect(one.inside).toBe(false);
    expect(one.place).toBe(START);
    const [told, again] = [decoder(), new Log()];
    void told.feed(again.gtid(7));
    told.takeOpen();
    expect(code(() => told.feed(again.event(ROTATE, rotation('binlog.000002'), { made: true, flags: 0x20 })))).toBe(
      'event_unsupported',
    );
  });

  it('goes on only behind the very transaction that it read last (trap 20a)', () => {
    const [one, log] = [decoder(), new Log()];
    void one.feed(log.gtid(7));
    void one.feed(log.event(XID));
    const { place } = one;
    const resume = (seq: number): string => {
      const [two, same] = [decoder({ ...START, ...place }), new Log()];
      return code(() => {
        void two.feed(same.gtid(seq));
        void two.feed(same.event(XID));
        void two.feed(same.gtid(8));
      });
    };
    expect(resume(7)).toBe('none');
    expect(resume(6)).toBe('source_identity_changed');
  });

  it('learns from the transaction that it reads again when that was', () => {
    const [one, log] = [decoder(), new Log()];
    void one.feed(log.gtid(7));
    void one.feed(log.event(XID));
    const [again, same] = [decoder({ ...one.place, at: null, gtids: null }), new Log()];
    void again.feed(same.gtid(7));
    expect([again.place.at, again.moved]).toEqual([null, false]);
    void again.feed(same.event(XID));
    expect([again.place, again.moved]).toEqual([{ ...one.place, gtids: null }, true]);
  });
});

/**
 * The loops of CRC-32C as a WebAssembly module, put together here: JavaScript checks the bounds of each of a table's eight
 * lookups for eight bytes, and one checksum waits for each of its own steps. Here nothing is checked, and three runs of
 * bytes go side by side; what came of the first is then moved past the others (`SHIFT_AT`).
 */

/** Bytes of one run, and runs side by side. */
export const LANE_BYTES = 512;
export const CRC_LANES = 3;
/** 256 numbers of 32 bits. */
export const TABLE_BYTES = 1024;
/** Where the loops find eight tables by bytes that follow (at 0), four that move a checksum past a run, and what they are to look at. */
export const SHIFT_AT = 8 * TABLE_BYTES;
export const INPUT_AT = SHIFT_AT + 4 * TABLE_BYTES;
const PAGE_BYTES = 65_536;
const PAGES = 3;
export const INPUT_BYTES = PAGES * PAGE_BYTES - INPUT_AT;

export interface CrcModule {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** @param count of blocks of all runs, 1 at the least @returns the checksum behind them */
  readonly blocks: (crc: number, at: number, count: number) => number;
  /** @param count of eight bytes each, 1 at the least */
  readonly words: (crc: number, at: number, count: number) => number;
}

/** Node has it; what describes Node's types does not. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

type Code = readonly number[];

/** A number as the format writes it: seven bits to a byte, the lowest first. */
function leb(value: number): Code {
  const rest = value >>> 7;
  return rest === 0 ? [value] : [(value & 0x7f) | 0x80, ...leb(rest)];
}

/** The same with a sign, which is the highest bit that is written; not for those below 0. */
function signed(value: number): Code {
  const rest = value >> 7;
  return rest === 0 && (value & 0x40) === 0 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(rest)];
}

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const tee = (local: number): Code => [0x22, local];
const i32 = (value: number): Code => [0x41, ...signed(value)];
const ADD = 0x6a;
const SUB = 0x6b;
const AND = 0x71;
const XOR = 0x73;
const SHL = 0x74;
const SHR = 0x76;
const LESS = 0x49;
const loadWord = (offset: number): Code => [0x28, 2, ...leb(offset)];
const loadLong = (offset: number): Code => [0x29, 0, ...leb(offset)];
const LONG_OF_WORD = 0xad;
const WORD_OF_LONG = 0xa7;
const XOR_LONG = 0x85;
const HIGH_OF_LONG = [0x42, 32, 0x88, WORD_OF_LONG];
/** `body` leaves on the stack whether it goes on. */
const loop = (body: Code): Code => [0x03, 0x40, ...body, 0x0d, 0, 0x0b];
const END = 0x0b;

/** Parameters, then locals: the checksum of each run but the first's, two halves and an end of 32 bits, one of 64. */
const [CRC, AT, COUNT, SECOND, THIRD, LOW, HIGH, UNTIL, LONG] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;

/** What the table says of one byte of `word`. */
const lookup = (word: number, byte: number, table: number): Code => [
  ...get(word),
  ...(byte === 0 ? [...i32(2), SHL] : [...i32(8 * byte - 2), SHR]),
  ...[...i32(0xff << 2), AND],
  ...loadWord(table),
];

/** All four bytes of `word`, by four tables. */
const lookups = (word: number, tables: Code): Code =>
  tables.flatMap((table, byte) => [...lookup(word, byte, table), ...(byte === 0 ? [] : [XOR])]);

const table = (index: number): number => index * TABLE_BYTES;

/** Eight bytes of one run: each goes through as many more as follow it. */
const eight = (crc: number, run: number): Code => [
  ...[...get(AT), ...loadLong(run * LANE_BYTES), ...get(crc), LONG_OF_WORD, XOR_LONG],
  ...[...tee(LONG), WORD_OF_LONG, ...set(LOW), ...get(LONG), ...HIGH_OF_LONG, ...set(HIGH)],
  ...lookups(LOW, [7, 6, 5, 4].map(table)),
  ...lookups(HIGH, [3, 2, 1, 0].map(table)),
  ...[XOR, ...set(crc)],
];

const advance = (bytes: number): Code => [...get(AT), ...i32(bytes), ADD];
const more = [...get(COUNT), ...i32(1), SUB, ...tee(COUNT)];

/** The checksum so far, moved past a run, and the one of that run. */
const followedBy = (crc: number): Code => [
  ...lookups(
    CRC,
    [0, 1, 2, 3].map((byte) => SHIFT_AT + table(byte)),
  ),
  ...[...get(crc), XOR, ...set(CRC)],
];

const BLOCKS = loop([
  ...[...i32(0), ...set(SECOND), ...i32(0), ...set(THIRD), ...advance(LANE_BYTES), ...set(UNTIL)],
  ...loop([
    ...[...eight(CRC, 0), ...eight(SECOND, 1), ...eight(THIRD, 2)],
    ...[...advance(8), ...tee(AT), ...get(UNTIL), LESS],
  ]),
  ...[...followedBy(SECOND), ...followedBy(THIRD)],
  ...[...advance((CRC_LANES - 1) * LANE_BYTES), ...set(AT), ...more],
]);

const WORDS = loop([...eight(CRC, 0), ...advance(8), ...set(AT), ...more]);

const sized = (body: Code): Code => [...leb(body.length), ...body];
const section = (id: number, body: Code): Code => [id, ...sized(body)];
const named = (name: string): Code => sized([...Buffer.from(name)]);
const I32 = 0x7f;
const I64 = 0x7e;
const LOCALS = [2, UNTIL - COUNT, I32, 1, I64];
const routine = (body: Code): Code => sized([...LOCALS, ...body, ...get(CRC), END]);

const MODULE = [
  ...[...Buffer.from('\0asm'), 1, 0, 0, 0],
  ...section(1, [1, 0x60, 3, I32, I32, I32, 1, I32]),
  ...section(3, [2, 0, 0]),
  ...section(5, [1, 0, PAGES]),
  ...section(7, [3, ...named('memory'), 2, 0, ...named('blocks'), 0, 0, ...named('words'), 0, 1]),
  ...section(10, [2, ...routine(BLOCKS), ...routine(WORDS)]),
];

/** One of its own memory, without its tables. */
export function crcModule(): CrcModule {
  const module = new WebAssembly.Module(Uint8Array.from(MODULE));
  return new WebAssembly.Instance(module).exports as CrcModule;
}

import protobuf from 'protobufjs';
import descriptor from 'protobufjs/google/protobuf/descriptor.json';
import { DoesNotFit } from '../record-text.js';
import { SchemaUnreadable } from './avro.js';
import { base64Text, BytesReader, float32Text, floatText, MOST_NESTED, tooDeep, utf8Text } from './bytes-reader.js';

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const DESCRIPTOR = 'google/protobuf/descriptor.proto';

interface Scalar {
  readonly wire: number;
  read(from: BytesReader): string;
}

const signed = (value: bigint, bits: number): string => String(BigInt.asIntN(bits, value));

const SCALARS: Readonly<Record<string, Scalar>> = {
  int32: { wire: WIRE.varint, read: (from) => signed(from.varint(), 32) },
  int64: { wire: WIRE.varint, read: (from) => signed(from.varint(), 64) },
  uint32: { wire: WIRE.varint, read: (from) => String(BigInt.asUintN(32, from.varint())) },
  uint64: { wire: WIRE.varint, read: (from) => String(from.varint()) },
  sint32: { wire: WIRE.varint, read: (from) => String(from.zigzag()) },
  sint64: { wire: WIRE.varint, read: (from) => String(from.zigzag()) },
  bool: { wire: WIRE.varint, read: (from) => (from.varint() === 0n ? 'false' : 'true') },
  fixed32: { wire: WIRE.fixed32, read: (from) => String(from.take(4).readUInt32LE(0)) },
  sfixed32: { wire: WIRE.fixed32, read: (from) => String(from.take(4).readInt32LE(0)) },
  fixed64: { wire: WIRE.fixed64, read: (from) => String(from.take(8).readBigUInt64LE(0)) },
  sfixed64: { wire: WIRE.fixed64, read: (from) => String(from.take(8).readBigInt64LE(0)) },
  float: { wire: WIRE.fixed32, read: (from) => float32Text(from.take(4).readFloatLE(0)) },
  double: { wire: WIRE.fixed64, read: (from) => floatText(from.take(8).readDoubleLE(0)) },
  string: { wire: WIRE.bytes, read: (from) => utf8Text(from.take(from.count())) },
  bytes: { wire: WIRE.bytes, read: (from) => base64Text(from.take(from.count())) },
};

/** A file that the schema imports. */
export interface ProtoFile {
  readonly name: string;
  readonly text: string;
}

function parseInto(root: protobuf.Root, text: string): protobuf.IParserResult {
  try {
    return protobuf.parse(text, root, { keepCase: true });
  } catch {
    throw new SchemaUnreadable('the Protobuf schema can not be parsed');
  }
}

/**
 * A .proto file as a reader of its messages. Fields under their own names, those that are there, in the order of the file;
 * numbers with every digit, bytes as base64, enums by name. The value begins with the indexes that say which message it is.
 * @throws SchemaUnreadable
 */
export function protobufReader(schema: string, imports: readonly ProtoFile[] = []): (value: Buffer) => string {
  const root = new protobuf.Root();
  const files = [...imports.map(({ text }) => text), schema].map((text) => parseInto(root, text));
  const space = files.at(-1)!.package;
  // Also what a file that is imported imports: a registry has no references to Google's own.
  for (const name of new Set(files.flatMap(({ imports: wanted }) => wanted ?? []))) {
    const known = name === DESCRIPTOR ? descriptor : protobuf.common.get(name);
    if (known && !imports.some((one) => one.name === name)) root.addJSON(known.nested ?? {});
  }
  try {
    root.resolveAll();
  } catch {
    throw new SchemaUnreadable('the Protobuf schema names a type that it does not have');
  }
  const top = messageNames(schema);
  const within = space ? root.lookup(space) : root;
  return (value) => {
    const from = new BytesReader(value);
    const type = typeOf(within as protobuf.NamespaceBase, top, indexes(from));
    return messageText(type, from, 0);
  };
}

/** Messages of a file in its order: those that other files brought into the package are not counted. */
function messageNames(schema: string): readonly string[] {
  const alone = new protobuf.Root();
  const { package: space } = parseInto(alone, schema);
  const within = space ? (alone.lookup(space) as protobuf.NamespaceBase | null) : alone;
  return (within?.nestedArray ?? []).filter((one) => one instanceof protobuf.Type).map(({ name }) => name);
}

/** A count and so many indexes; a single 0 stands for the first message. */
function indexes(from: BytesReader): readonly number[] {
  const count = from.count(from.zigzag());
  if (count === 0) return [0];
  if (count > MOST_NESTED) throw tooDeep();
  return Array.from({ length: count }, () => from.count(from.zigzag()));
}

function typeOf(within: protobuf.NamespaceBase, top: readonly string[], path: readonly number[]): protobuf.Type {
  let found = within.get(top[path[0]!] ?? '');
  for (const index of path.slice(1))
    found = (found as protobuf.Type | null)?.nestedArray.filter((one) => one instanceof protobuf.Type)[index] ?? null;
  if (!(found instanceof protobuf.Type)) throw new DoesNotFit('The value names a message that its schema has not.');
  return found;
}

type Typed = Pick<protobuf.Field, 'name' | 'type' | 'resolvedType'>;

/** What a message has of a field: its value, those of one that is repeated, by key those of a map, the pieces of a message. */
type Held = string | string[] | Map<string, string> | Buffer[];

function messageText(type: protobuf.Type, from: BytesReader, depth: number): string {
  if (depth > MOST_NESTED) throw tooDeep();
  const found = new Map<protobuf.Field, Held>();
  while (from.left > 0) {
    const tag = from.count();
    const [id, wire] = [Math.floor(tag / 8), tag % 8];
    const field = type.fieldsById[id];
    if (!field) {
      skip(from, wire);
      continue;
    }
    // Of several, the last one holds.
    for (const other of field.partOf?.fieldsArray ?? []) if (other !== field) found.delete(other);
    found.set(field, joined(found.get(field), field, wire, from, depth));
  }
  const parts = type.fieldsArray.flatMap((field) => {
    const held = found.get(field);
    if (held === undefined) return [];
    const name = JSON.stringify(field.name);
    from.tell(name.length);
    return [`${name}:${heldText(held, field, from, depth)}`];
  });
  return `{${parts.join(',')}}`;
}

/** With what comes next of the field. */
function joined(held: Held | undefined, field: protobuf.Field, wire: number, from: BytesReader, depth: number): Held {
  if (field instanceof protobuf.MapField) {
    if (wire !== WIRE.bytes) throw unlike(field);
    const entries = (held as Map<string, string> | undefined) ?? new Map<string, string>();
    return entries.set(...entry(field, from.over(from.take(from.count())), depth));
  }
  if (field.resolvedType instanceof protobuf.Type && !field.repeated) {
    if (wire !== WIRE.bytes) throw unlike(field);
    const pieces = (held as Buffer[] | undefined) ?? [];
    pieces.push(from.take(from.count()));
    return pieces;
  }
  if (!field.repeated) return value(field, wire, from, depth);
  const texts = (held as string[] | undefined) ?? [];
  readRepeated(field, wire, from, depth, texts);
  return texts;
}

function heldText(held: Held, { resolvedType, repeated }: protobuf.Field, from: BytesReader, depth: number): string {
  if (typeof held === 'string') return held;
  if (held instanceof Map) return `{${[...held].map(([key, text]) => `${key}:${text}`).join(',')}}`;
  if (repeated) return `[${held.join(',')}]`;
  // A message that comes in pieces is what they are together.
  const pieces = held as Buffer[];
  const whole = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  return messageText(resolvedType as protobuf.Type, from.over(whole), depth + 1);
}

function readRepeated(field: protobuf.Field, wire: number, from: BytesReader, depth: number, texts: string[]): void {
  const { resolvedType } = field;
  const scalar = resolvedType instanceof protobuf.Type ? null : scalarOf(field.type, resolvedType);
  if (scalar === null || wire === scalar.wire) {
    texts.push(value(field, wire, from, depth));
    return;
  }
  if (wire !== WIRE.bytes) throw unlike(field);
  const packed = from.over(from.take(from.count()));
  while (packed.left > 0) texts.push(scalar.read(packed));
}

function value(field: Typed, wire: number, from: BytesReader, depth: number): string {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) {
    if (wire !== WIRE.bytes) throw unlike(field);
    return messageText(resolvedType, from.over(from.take(from.count())), depth + 1);
  }
  const scalar = scalarOf(field.type, resolvedType);
  if (wire !== scalar.wire) throw unlike(field);
  return scalar.read(from);
}

const unlike = (field: Typed) => new DoesNotFit(`The field ${field.name} is not what the schema says.`);

function scalarOf(type: string, resolved: protobuf.ReflectionObject | null): Scalar {
  if (resolved instanceof protobuf.Enum)
    return {
      wire: WIRE.varint,
      read(from) {
        const value = Number(BigInt.asIntN(32, from.varint()));
        const name = resolved.valuesById[value];
        if (name === undefined) return String(value);
        from.tell(name.length);
        return JSON.stringify(name);
      },
    };
  const scalar = SCALARS[type];
  if (!scalar) throw new DoesNotFit(`The schema has a type ${type} that can not be read.`);
  return scalar;
}

function entry(field: protobuf.MapField, from: BytesReader, depth: number): [key: string, text: string] {
  const keyed = SCALARS[field.keyType]!;
  let key: string | null = null;
  let text: string | null = null;
  while (from.left > 0) {
    const tag = from.count();
    const [id, wire] = [Math.floor(tag / 8), tag % 8];
    if (id === 1) {
      if (wire !== keyed.wire) throw unlike(field);
      key = keyed.read(from);
    } else if (id === 2) text = value(field, wire, from, depth);
    else skip(from, wire);
  }
  key ??= field.keyType === 'string' ? '' : field.keyType === 'bool' ? 'false' : '0';
  return [key.startsWith('"') ? key : JSON.stringify(key), text ?? defaultText(field)];
}

/** What an entry means that leaves its value out. */
function defaultText({ type, resolvedType }: protobuf.MapField): string {
  if (resolvedType instanceof protobuf.Type) return '{}';
  if (resolvedType instanceof protobuf.Enum) return JSON.stringify(resolvedType.valuesById[0] ?? 0);
  return type === 'string' || type === 'bytes' ? '""' : type === 'bool' ? 'false' : '0';
}

function skip(from: BytesReader, wire: number): void {
  if (wire === WIRE.varint) from.varint();
  else if (wire === WIRE.fixed64) from.take(8);
  else if (wire === WIRE.bytes) from.take(from.count());
  else if (wire === WIRE.fixed32) from.take(4);
  else throw new DoesNotFit('The value is not a Protobuf message.');
}

import { DoesNotFit } from '../record-text.js';
import { base64Text, BytesReader, float32Text, floatText, MOST_NESTED, tooDeep, utf8Text } from './bytes-reader.js';

/** Reads one value and gives it as JSON text. */
type Read = (from: BytesReader, depth: number) => string;

/** The schema itself is not one that can be read. */
export class SchemaUnreadable extends Error {}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const PRIMITIVES: Readonly<Record<string, Read>> = {
  // A schema may name its own types `constructor` or `valueOf`.
  __proto__: null as never,
  null: () => 'null',
  boolean: (from) => (from.byte() === 0 ? 'false' : 'true'),
  int: (from) => String(from.zigzag()),
  long: (from) => String(from.zigzag()),
  float: (from) => float32Text(from.take(4).readFloatLE(0)),
  double: (from) => floatText(from.take(8).readDoubleLE(0)),
  bytes: (from) => base64Text(from.take(from.count(from.zigzag()))),
  string: (from) => utf8Text(from.take(from.count(from.zigzag()))),
};

/** Of a decimal; `null`: it is none. What says of itself that it is one, and can't be, is what it is made of (Avro's specification). */
function scaleOf({ logicalType, precision, scale = 0 }: Json): number | null {
  const whole = (value: unknown): value is number => Number.isSafeInteger(value);
  const fits = whole(precision) && whole(scale) && precision > 0 && scale >= 0 && scale <= precision;
  return logicalType === 'decimal' && fits && scale <= MOST_DIGITS ? scale : null;
}

/** More zeros than that nobody means. Invariant 6. */
const MOST_DIGITS = 1000;

/** A decimal with all of its digits, as its scale says. */
function decimalText(bytes: Buffer, scale: number): string {
  const unscaled = bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const at = digits.length - scale;
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, at)}.${digits.slice(at)}`;
}

/**
 * An Avro schema as a reader of its binary form. Values as in plain JSON: unions without a tag, bytes as base64, decimals
 * as numbers with every digit; other logical types as what they are made of.
 * @param references schemas that this one names, in order
 * @throws SchemaUnreadable
 */
export function avroReader(schema: unknown, references: readonly unknown[] = []): (value: Buffer) => string {
  const compiler = new AvroCompiler();
  for (const reference of references) compiler.compile(reference, '');
  const read = compiler.compile(schema, '');
  return (value) => {
    const from = new BytesReader(value);
    const text = read(from, 0);
    if (from.left > 0) throw new DoesNotFit('The value is longer than its schema says.');
    return text;
  };
}

class AvroCompiler {
  readonly #named = new Map<string, Read>();

  compile(schema: unknown, namespace: string): Read {
    if (typeof schema === 'string') return this.#reference(schema, namespace);
    if (Array.isArray(schema)) return this.#union(schema as unknown[], namespace);
    if (!isObject(schema)) throw new SchemaUnreadable('a part of the Avro schema is no schema');
    const { type } = schema;
    if (typeof type !== 'string') return this.compile(type, namespace);
    switch (type) {
      case 'record':
      case 'error':
        return this.#record(schema, namespace);
      case 'enum':
        return this.#enumeration(schema, namespace);
      case 'fixed':
        return this.#fixed(schema, namespace);
      case 'array':
        return blocks(this.compile(schema['items'], namespace), null);
      case 'map':
        return blocks(this.compile(schema['values'], namespace), PRIMITIVES['string']!);
      case 'bytes': {
        const scale = scaleOf(schema);
        return scale === null
          ? PRIMITIVES['bytes']!
          : (from) => decimalText(from.take(from.count(from.zigzag())), scale);
      }
      default:
        return this.#reference(type, namespace);
    }
  }

  #reference(name: string, namespace: string): Read {
    const primitive = PRIMITIVES[name];
    if (primitive) return primitive;
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
    const key = this.#named.has(full) ? full : name;
    if (!this.#named.has(key)) throw new SchemaUnreadable(`the Avro schema does not say what ${name} is`);
    // Looked up when it is read: a record may hold itself.
    return (from, depth) => this.#named.get(key)!(from, depth);
  }

  #name(schema: Json, namespace: string): { readonly full: string; readonly space: string } {
    const name = String(schema['name']);
    if (name.includes('.')) return { full: name, space: name.slice(0, name.lastIndexOf('.')) };
    const space = typeof schema['namespace'] === 'string' ? schema['namespace'] : namespace;
    return { full: space === '' ? name : `${space}.${name}`, space };
  }

  #record(schema: Json, namespace: string): Read {
    const { full, space } = this.#name(schema, namespace);
    const fields: { readonly label: string; readonly read: Read }[] = [];
    let told = 2;
    const read: Read = (from, depth) => {
      if (depth > MOST_NESTED) throw tooDeep();
      from.tell(told);
      return `{${fields.map((field) => field.label + field.read(from, depth + 1)).join(',')}}`;
    };
    this.#named.set(full, read);
    for (const field of (schema['fields'] as readonly Json[] | undefined) ?? []) {
      const label = `${JSON.stringify(String(field['name']))}:`;
      told += label.length;
      fields.push({ label, read: this.compile(field['type'], space) });
    }
    return read;
  }

  #enumeration(schema: Json, namespace: string): Read {
    const symbols = ((schema['symbols'] as readonly string[] | undefined) ?? []).map((one) => JSON.stringify(one));
    const read: Read = (from) => {
      const symbol = symbols[from.count(from.zigzag())];
      if (symbol === undefined) throw new DoesNotFit('The value has an enum symbol that its schema has not.');
      return symbol;
    };
    this.#named.set(this.#name(schema, namespace).full, read);
    return read;
  }

  #fixed(schema: Json, namespace: string): Read {
    const size = Number(schema['size']);
    const scale = scaleOf(schema);
    const read: Read = (from) => (scale === null ? base64Text(from.take(size)) : decimalText(from.take(size), scale));
    this.#named.set(this.#name(schema, namespace).full, read);
    return read;
  }

  #union(branches: readonly unknown[], namespace: string): Read {
    const reads = branches.map((branch) => this.compile(branch, namespace));
    return (from, depth) => {
      const read = reads[from.count(from.zigzag())];
      if (!read) throw new DoesNotFit('The value has a branch of a union that its schema has not.');
      return read(from, depth + 1);
    };
  }
}

/** Arrays, and maps where there is a reader for keys. */
function blocks(item: Read, key: Read | null): Read {
  return (from, depth) => {
    if (depth > MOST_NESTED) throw tooDeep();
    const parts: string[] = [];
    for (let count = from.zigzag(); count !== 0n; count = from.zigzag()) {
      if (count < 0n) from.zigzag(); // size of the block in bytes
      const items = from.count(count < 0n ? -count : count);
      from.tell(items);
      for (let i = 0; i < items; i++)
        parts.push(key === null ? item(from, depth + 1) : `${key(from, depth)}:${item(from, depth + 1)}`);
    }
    return key === null ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
  };
}

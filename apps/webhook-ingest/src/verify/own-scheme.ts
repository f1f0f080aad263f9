import type { Auth } from '../config.js';
import { milliseconds } from '../duration.js';
import { SECRET_KEYS } from './secret-key.js';
import { ISO_TIME, type SignatureForm, type SignatureRule } from './signature.js';
import { besides } from './template.js';

type OwnScheme = Extract<Auth, { type: 'hmac' }>;

/** A user's own scheme in the words of a vendor's. */
export function ruleOf(auth: OwnScheme): SignatureRule {
  const tolerance = milliseconds(auth.tolerance);
  return {
    algorithm: auth.algorithm,
    encoding: auth.encoding,
    headers: [auth.signature_header.toLowerCase()],
    form: formOf(auth),
    ...timestampOf(auth),
    tolerance: { past: tolerance, ahead: tolerance },
    signed: auth.signed,
    ...(auth.id_header === undefined
      ? {}
      : { idHeader: auth.id_header.toLowerCase(), isClearId: clearIdOf(auth.signed) }),
    ...(auth.secret_encoding === 'utf8' ? {} : { key: SECRET_KEYS[auth.secret_encoding].bytes }),
  };
}

function formOf({ signature_pair: pair, separator, prefix }: OwnScheme): SignatureForm {
  if (pair !== undefined) return { kind: 'pairs', separator: separator ?? ',', name: pair };
  return separator === undefined ? { kind: 'whole', prefix } : { kind: 'words', separator, prefix };
}

function timestampOf(auth: OwnScheme): Pick<SignatureRule, 'timestamp'> {
  const unit = auth.timestamp_format === 'rfc3339' ? 'iso' : 'auto';
  if (auth.timestamp_pair !== undefined) return { timestamp: { pair: auth.timestamp_pair, unit } };
  return auth.timestamp_header === undefined
    ? {}
    : { timestamp: { header: auth.timestamp_header.toLowerCase(), unit } };
}

/** Within another text. */
const SOME_ISO_TIME = new RegExp(ISO_TIME);

/** What parts it from what comes next begins where it ends, and not before, not even in part. */
const endsAtFirst = (text: string, between: string): boolean => (text + between).indexOf(between) === text.length;

function clearIdOf(signed: string): NonNullable<SignatureRule['isClearId']> {
  const sides = besides(signed, 'id');
  // Between two whose length is anybody's choice: of the address that is its query.
  const isEnclosed = /\{url\}.*\{id\}.*\{body\}|\{body\}.*\{id\}.*\{url\}/s.test(signed);
  const besideUrl = isEnclosed ? besides(signed, 'url') : [];
  return (id, url) => {
    const [query = ''] = /[?#].*$/s.exec(url) ?? [];
    return (
      (query === '' || besideUrl.every(({ between }) => endsAtFirst(query, between))) &&
      sides.every(({ between, side }) => {
        // Beside a date alone, which shows where it begins and ends.
        if (between === '') return !SOME_ISO_TIME.test(id);
        return side === 'after' ? endsAtFirst(id, between) : (between + id).lastIndexOf(between) === 0;
      })
    );
  };
}

/** What contradicts itself in it, each with the key that it is told at. */
export function contradictionsIn(auth: OwnScheme): readonly string[] {
  const { signed, prefix, separator, signature_pair: pair, timestamp_pair: timePair, id_header: id } = auth;
  const [namesTime, namesId] = [signed.includes('{timestamp}'), signed.includes('{id}')];
  const time = auth.timestamp_header ?? timePair;
  const isDate = auth.timestamp_format === 'rfc3339';
  const taken = [auth.signature_header, auth.timestamp_header].map((name) => name?.toLowerCase());
  const wrong: readonly (readonly [boolean, string])[] = [
    [
      namesTime && time === undefined,
      'timestamp_header: is needed where auth.signed names {timestamp}, or timestamp_pair.',
    ],
    [
      timePair !== undefined && auth.timestamp_header !== undefined,
      'timestamp_pair: must not be given beside timestamp_header.',
    ],
    [
      timePair !== undefined && pair === undefined,
      'signature_pair: is needed with timestamp_pair, for both are pairs of signature_header.',
    ],
    [timePair !== undefined && timePair === pair, 'timestamp_pair: must be another one than signature_pair.'],
    [timePair !== undefined && !namesTime, 'signed: has to name {timestamp} where timestamp_pair is given.'],
    [isDate && time === undefined, 'timestamp_format: is of a timestamp, and none is named.'],
    [pair !== undefined && prefix !== '', 'prefix: must not be given beside signature_pair.'],
    [
      separator !== undefined && prefix.includes(separator),
      'prefix: must not contain what parts the signatures (separator).',
    ],
    [namesId && id === undefined, 'id_header: is needed where auth.signed names {id}.'],
    [id !== undefined && !namesId, 'signed: has to name {id} where id_header is given; else it is dedupe.header.'],
    [
      besides(signed, 'id').some(({ between, other }) => between === '' && !(isDate && other === 'timestamp')),
      'signed: {id} has to be parted from what is beside it, an rfc3339 {timestamp} aside: another id could be read of the same bytes.',
    ],
    [id !== undefined && taken.includes(id.toLowerCase()), 'id_header: must be a header of its own.'],
  ];
  return [...wrong.flatMap(([is, what]) => (is ? [what] : [])), ...wrongSecrets(auth)].map((what) => `auth.${what}`);
}

function wrongSecrets({ secrets, secret_encoding: encoding }: OwnScheme): readonly string[] {
  if (encoding === 'utf8') return [];
  const { means, bytes } = SECRET_KEYS[encoding];
  return secrets.flatMap((secret, i) => (bytes(secret) === null ? [`secrets.${i}: has to be ${means}.`] : []));
}

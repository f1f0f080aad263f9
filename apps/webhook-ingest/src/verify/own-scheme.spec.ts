import { createHmac } from 'node:crypto';
import { parseConfig, type Auth } from '../config.js';
import { request, type Sent } from '../vendors/vendors-under-test.js';
import { ruleOf } from './own-scheme.js';
import { SignatureScheme } from './signature.js';

const [at, body] = [1_700_000_000, '{"id":"evt_1","n":1.5}'];

function schemeOf(config: Record<string, unknown>) {
  const { auth } = parseConfig({ auth: { type: 'hmac', signature_header: 'X-Signature', ...config } });
  const own = auth as Extract<Auth, { type: 'hmac' }>;
  const scheme = new SignatureScheme(ruleOf(own), own.secrets);
  return (headers: Sent['headers'], of: Partial<Sent> = {}) => {
    const verdict = scheme.verify(request({ headers, body, at, ...of }));
    return verdict.valid ? 'valid' : verdict.reason;
  };
}
const mac = (key: string | Buffer, text: string, encoding: 'hex' | 'base64' = 'hex', algorithm = 'sha256') =>
  createHmac(algorithm, key).update(text).digest(encoding);

describe('a scheme of the user’s own, with what vendors document', () => {
  const secret = 'a secret of some length';

  describe('pairs of one header, as Calendly’s', () => {
    const judge = schemeOf({
      ...{ signature_header: 'Calendly-Webhook-Signature', signature_pair: 'v1', timestamp_pair: 't' },
      ...{ signed: '{timestamp}.{body}', tolerance: '3m', secrets: [secret] },
    });
    const signed = (time: number | string, own = mac(secret, `${time}.${body}`)) => ({
      'Calendly-Webhook-Signature': `t=${time},v1=${own}`,
    });

    it('the pair with the signature over that with the time', () => {
      expect(judge(signed(at))).toBe('valid');
      expect(judge(signed(`${at}000`))).toBe('valid');
      expect(judge({ 'Calendly-Webhook-Signature': `v1=${mac(secret, `${at}.${body}`)}, v0=6f , t=${at}` })).toBe(
        'valid',
      );
    });

    it('forged ones are refused', () => {
      expect(judge(signed(at, mac('another', `${at}.${body}`)))).toBe('signature_wrong');
      expect(judge(signed(at, mac(secret, body)))).toBe('signature_wrong');
      expect(judge(signed(at), { body: `${body} ` })).toBe('signature_wrong');
      expect(judge(signed(at + 1, mac(secret, `${at}.${body}`)))).toBe('signature_wrong');
      expect(judge({ 'Calendly-Webhook-Signature': `t=${at},v0=${mac(secret, `${at}.${body}`)}` })).toBe(
        'signature_missing',
      );
      expect(judge({ 'Calendly-Webhook-Signature': `v1=${mac(secret, `.${body}`)}` })).toBe('timestamp_missing');
      expect(judge({ 'Calendly-Webhook-Signature': mac(secret, `${at}.${body}`) })).toBe('signature_missing');
      expect(judge({})).toBe('signature_missing');
    });

    it('the time is judged both ways (trap 28)', () => {
      expect(['valid', 'valid']).toEqual([judge(signed(at - 180)), judge(signed(at + 180))]);
      expect(judge(signed(at - 181))).toBe('timestamp_too_old');
      expect(judge(signed(at + 181))).toBe('timestamp_in_future');
      expect(judge(signed(`${at - 181}000`))).toBe('timestamp_too_old');
      expect(judge(signed('soon'))).toBe('timestamp_missing');
    });

    it.each([`0${at}`, `00${at}000`, `${at}00`, `${at}0000`, '0', `${at}.0`, ` ${at} 1`])(
      'no time is %j: of one text there would be two',
      (time) => expect(judge(signed(time))).toBe('timestamp_missing'),
    );
  });

  it('pairs that are parted by something else', () => {
    const judge = schemeOf({
      signature_pair: 'h1',
      timestamp_pair: 'ts',
      separator: ';',
      signed: '{timestamp}:{body}',
      secrets: [secret],
    });
    const own = mac(secret, `${at}:${body}`);
    expect(judge({ 'x-signature': `ts=${at};h1=${own}` })).toBe('valid');
    expect(judge({ 'x-signature': `ts=${at},h1=${own}` })).toBe('signature_missing');
  });

  it.each([
    ['under one name', { signature_pair: 'v1' }, 'v1=', ','],
    ['after one prefix', { separator: ',', prefix: 'v1=' }, 'v1=', ', '],
    ['parted by spaces', { separator: ' ', prefix: 'v1,' }, 'v1,', ' '],
    ['bare', { separator: ';' }, '', ';'],
  ])('several signatures, %s: any of them may be the right one', (_, config, prefix, between) => {
    const judge = schemeOf({ ...config, secrets: [secret] });
    const listed = (...of: string[]) => ({ 'x-signature': of.map((one) => prefix + one).join(between) });
    const [right, wrong] = [mac(secret, body), mac('another', body)];
    expect(judge(listed(wrong, right))).toBe('valid');
    expect(judge(listed(right, wrong))).toBe('valid');
    expect(judge(listed(wrong, wrong))).toBe('signature_wrong');
    // No more than ten are tried.
    expect(judge(listed(...Array<string>(10).fill(wrong), right))).toBe('signature_wrong');
    if (prefix !== '') expect(judge({ 'x-signature': `v2=${right}` })).toBe('signature_missing');
  });

  it.each(['hex', 'base64'] as const)('a secret that is the bytes of a key, in %s', (encoding) => {
    const [key, earlier] = [Buffer.alloc(24, 0xfa), Buffer.alloc(20, 7)];
    const judge = schemeOf({
      ...{ algorithm: 'sha512', encoding: 'base64', secret_encoding: encoding },
      secrets: [key.toString(encoding), earlier.toString(encoding)],
    });
    const status = (of: string | Buffer) => judge({ 'x-signature': mac(of, body, 'base64', 'sha512') });
    expect([status(key), status(earlier)]).toEqual(['valid', 'valid']);
    expect(status(key.toString(encoding))).toBe('signature_wrong');
    const asText = schemeOf({ algorithm: 'sha512', encoding: 'base64', secrets: [key.toString(encoding)] });
    expect(asText({ 'x-signature': mac(key.toString(encoding), body, 'base64', 'sha512') })).toBe('valid');
    expect(asText({ 'x-signature': mac(key, body, 'base64', 'sha512') })).toBe('signature_wrong');
  });

  it('whsec_ before a key in base64 is left out', () => {
    const judge = schemeOf({ secret_encoding: 'base64', secrets: ['whsec_AQIDBA=='] });
    expect(judge({ 'x-signature': mac(Buffer.from([1, 2, 3, 4]), body) })).toBe('valid');
  });

  describe('an id that is signed', () => {
    const judge = schemeOf({
      id_header: 'X-Id',
      timestamp_header: 'X-Time',
      signed: '{id}.{timestamp}.{body}',
      secrets: [secret],
    });
    const sent = (id: string, time: number | string, text: string) => ({
      'x-id': id,
      'x-time': String(time),
      'x-signature': mac(secret, text),
    });

    it('belongs to what the proof covers', () => {
      expect(judge(sent('evt_1', at, `evt_1.${at}.${body}`))).toBe('valid');
      expect(judge(sent('evt_2', at, `evt_1.${at}.${body}`))).toBe('signature_wrong');
      expect(judge(sent('evt_1', at, `${at}.${body}`))).toBe('signature_wrong');
      const { 'x-id': _, ...without } = sent('', at, `.${at}.${body}`);
      expect(judge(without)).toBe('signature_missing');
      expect(judge(sent('', at, `.${at}.${body}`))).toBe('signature_missing');
    });

    it('can not be parted from the body elsewhere than its sender did', () => {
      const told = `evt_1.${at}.{"said":"x.${at}.{}"}`;
      expect(judge(sent('evt_1', at, told), { body: told.slice(told.indexOf('{')) })).toBe('valid');
      const cut = told.lastIndexOf('.');
      expect(judge(sent(`evt_1.${at}.{"said":"x`, at, told), { body: told.slice(cut + 1) })).toBe('signature_missing');
    });

    it.each([
      ['behind it', '{id}--{body}', (id: string, text: string) => `${id}--${text}`],
      ['before it', '{body}--{id}', (id: string, text: string) => `${text}--${id}`],
    ])('nor within what parts it, %s', (_, template, signedOf) => {
      const parted = schemeOf({ id_header: 'X-Id', signed: template, secrets: [secret] });
      const status = (id: string, text: string, told: string) =>
        parted({ 'x-id': id, 'x-signature': mac(secret, told) }, { body: text });
      expect(status('a-b', body, signedOf('a-b', body))).toBe('valid');
      const [one, other] = template.startsWith('{id}')
        ? [status('a-', body, signedOf('a-', body)), status('a', `-${body}`, signedOf('a-', body))]
        : [status('-a', body, signedOf('-a', body)), status('a', `${body}-`, signedOf('-a', body))];
      // One of the two readings alone may be taken.
      expect([one, other]).toEqual(['signature_missing', 'valid']);
    });

    it('nor by another query of the address', () => {
      const under = schemeOf({ id_header: 'X-Id', signed: '{url}.{id}.{body}', secrets: [secret] });
      const url = 'https://hooks.example/ingest/t?from=shop';
      const told = { 'x-signature': mac(secret, `${url}.evt_1.{"price":1.5,"of":"1.0"}`) };
      expect(under({ ...told, 'x-id': 'evt_1' }, { url, body: '{"price":1.5,"of":"1.0"}' })).toBe('valid');
      const other = { url: `${url}.evt_1`, body: '5,"of":"1.0"}' };
      expect(under({ ...told, 'x-id': '{"price":1' }, other)).toBe('signature_missing');
    });

    it('without anything between, as Twitch’s, and its time as a date', () => {
      const twitch = schemeOf({
        ...{
          signature_header: 'Twitch-Eventsub-Message-Signature',
          prefix: 'sha256=',
          signed: '{id}{timestamp}{body}',
        },
        ...{ id_header: 'Twitch-Eventsub-Message-Id', timestamp_header: 'Twitch-Eventsub-Message-Timestamp' },
        ...{ timestamp_format: 'rfc3339', secrets: [secret] },
      });
      const headers = (seconds: number, id = 'e76c6bd4', signedId = id) => {
        const time = new Date(seconds * 1000).toISOString().replace('Z', '123456Z');
        return {
          ...{ 'twitch-eventsub-message-id': id, 'twitch-eventsub-message-timestamp': time },
          'twitch-eventsub-message-signature': `sha256=${mac(secret, signedId + time + body)}`,
        };
      };
      expect(twitch(headers(at))).toBe('valid');
      expect(twitch(headers(at, 'e76c6bd5', 'e76c6bd4'))).toBe('signature_wrong');
      expect([twitch(headers(at - 301)), twitch(headers(at + 301))]).toEqual([
        'timestamp_too_old',
        'timestamp_in_future',
      ]);
      expect(twitch({ ...headers(at), 'twitch-eventsub-message-timestamp': String(at) })).toBe('timestamp_missing');
      // The body holds a time as well, and what is before that would be the id.
      const time = new Date(at * 1000).toISOString();
      const told = { text: `{"at":"${time}","n":1}`, rest: `","n":1}` };
      const mark = `sha256=${mac(secret, `e76c6bd4${time}${told.text}`)}`;
      const parted = (id: string) => ({
        ...{ 'twitch-eventsub-message-id': id, 'twitch-eventsub-message-timestamp': time },
        'twitch-eventsub-message-signature': mark,
      });
      expect(twitch(parted('e76c6bd4'), { body: told.text })).toBe('valid');
      expect(twitch(parted(`e76c6bd4${time}{"at":"`), { body: told.rest })).toBe('signature_missing');
    });
  });
});

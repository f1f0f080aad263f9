import { sign } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { parseConfig } from '../config.js';
import { authority, type Wanted } from '../verify/ca-under-test.js';
import { verdict } from './vendors-under-test.js';

const NAME = 'messageverificationcerts.paypal.com';
const WEBHOOK = '0FV983392A0531201';
const DAY_MS = 86_400_000;
const at = Math.floor(Date.now() / 1_000);
const ca = authority({ rsa: true });
const issued = (wanted: Wanted = {}) => ca.issue({ rsa: true, dns: [NAME], ...wanted });
const own = issued();

/** Signed as PayPal documents it: `transmission id|time|webhook id|CRC-32 of the body, decimal`. */
function delivery(body: string, of: { by?: ReturnType<typeof issued>; time?: string } = {}) {
  const time = of.time ?? `${new Date(at * 1_000).toISOString().slice(0, 19)}Z`;
  const text = `t-1|${time}|${WEBHOOK}|${crc32(body)}`;
  const headers = {
    'Paypal-Transmission-Id': 't-1',
    'Paypal-Transmission-Time': time,
    'Paypal-Transmission-Sig': sign('sha256', Buffer.from(text), (of.by ?? own).key).toString('base64'),
  };
  return { headers, body, at };
}
const judged = (sent: ReturnType<typeof delivery>, { pem } = own) => verdict('paypal', WEBHOOK, sent, pem);

describe('PayPal', () => {
  it('is proved under its certificate, for the webhook and the time that it was sent to and at (trap 28)', () => {
    expect(judged(delivery('{"id":"WH-1"}'))).toMatchObject({ valid: true });
    expect(judged(delivery('{"id":"WH-1"}', { by: issued() }))).toMatchObject({ reason: 'signature_wrong' });
    expect(verdict('paypal', 'AnotherWebhook', delivery('{}'), own.pem)).toMatchObject({ reason: 'signature_wrong' });
    expect(judged({ ...delivery('{}'), at: at + 301 })).toMatchObject({ reason: 'timestamp_too_old' });
    expect(judged({ ...delivery('{}'), at: at - 301 })).toMatchObject({ reason: 'timestamp_in_future' });
    for (const time of [String(at), '2019-08-29', '2019-02-31T99:00:00Z', ''])
      expect(judged(delivery('{}', { time }))).toMatchObject({ reason: 'timestamp_missing' });
  });

  it('is not proved under a certificate that has ended, or has not begun', () => {
    const now = Date.now();
    for (const lives of [
      [now - 2 * DAY_MS, now - DAY_MS],
      [now + DAY_MS, now + 2 * DAY_MS],
    ] as const) {
      const by = issued({ lives });
      expect(judged(delivery('{}', { by }), by)).toMatchObject({ reason: 'certificate_wrong' });
    }
  });

  it('needs certificates of its own, and takes none of anybody else', () => {
    const problem = (auth: object) => {
      try {
        parseConfig({ auth: { type: 'preset', preset: 'paypal', secrets: [WEBHOOK], ...auth } });
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(problem({ certificates: [own.pem] })).toBe('');
    expect(problem({})).toMatch('auth.certificates: are needed');
    expect(problem({ certificates: [own.pem, 'MIIB'] })).toMatch('auth.certificates.1: has to be a certificate');
    expect(problem({ certificates: [issued({ rsa: false }).pem] })).toMatch('an RSA key');
    for (const dns of ['messageverificationcerts.paypal.com.example.org', 'paypal.com', 'example.org'])
      expect(problem({ certificates: [issued({ dns: [dns] }).pem] })).toMatch('issued to');
    expect(problem({ preset: 'stripe', certificates: [own.pem] })).toMatch('not used by stripe');
    expect(problem({ certificates: [own.pem], secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw='] })).toMatch(
      'auth.secrets.0: has to be the id of the webhook',
    );
  });
});

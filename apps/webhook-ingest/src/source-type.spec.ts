import { systemClock, type SourceContext } from '@planasonix/core';
import { webhook } from './source-type.js';

const findings = async (auth: object) => {
  const context = { config: { auth }, clock: systemClock, outbound: {} } as unknown as SourceContext;
  const source = webhook({ header: null, direct: false }).create(context);
  return (await source.check(new AbortController().signal)).map(({ code, severity }) => [code, severity]);
};

describe('check of a webhook stream', () => {
  const hmac = { type: 'hmac', signature_header: 'X-Signature', secrets: ['s'] };

  it.each([
    ['a time that is trusted though it is not signed', { ...hmac, timestamp_header: 'X-Time' }, 'timestamp_unsigned'],
    ['SHA-1', { ...hmac, algorithm: 'sha1' }, 'weak_algorithm'],
    ['no proof at all', { type: 'none' }, 'no_auth'],
  ])('warns of %s', async (_, auth, code) => {
    expect(await findings(auth)).toEqual([[code, 'warning']]);
  });

  it('finds nothing where the time is signed, or none is sent', async () => {
    expect(await findings(hmac)).toEqual([]);
    expect(await findings({ ...hmac, timestamp_header: 'X-Time', signed: '{timestamp}.{body}' })).toEqual([]);
  });
});

import { generateKeyPairSync } from 'node:crypto';
import { SecretBox } from '@planasonix/store';
import { eventually } from '@planasonix/testing';
import { ingestWorld, post, type IngestWorld, type Instance } from './ingest-under-test.js';
import { vendors } from './vendors/index.js';

jest.setTimeout(120_000);

describe('a sample delivery, through the real door', () => {
  let world: IngestWorld;
  let at: Instance;

  beforeAll(async () => {
    world = await ingestWorld();
    at = await world.instance();
  });
  afterAll(() => world.end());

  // JSON from outside: the assertions give it a shape.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  const sample = (streamId: string): Promise<any> => world.asks.ask('webhook', { kind: 'sample', streamId }, 8_000);
  const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
  const shared = [...vendors.values()].filter(
    ({ proof }) => 'tokenHeader' in proof || !['ed25519', 'ecdsa', 'rsa'].includes(proof.algorithm),
  );

  const own = { type: 'hmac', signature_header: 'X-Acme-Signature', secrets: [SECRET] };
  const pairs = { signature_pair: 'v1', timestamp_pair: 't', signed: '{timestamp}.{body}' };
  const signedId = { id_header: 'X-Acme-Id', signed: '{id}.{body}' };

  it('vendors with a shared secret are most of them', () => {
    expect(shared.map(({ name }) => name)).toEqual(expect.arrayContaining(['mailgun', 'twilio', 'stripe', 'gitlab']));
    expect(vendors.size - shared.length).toBe(3);
  });

  it.each(shared.map(({ name }) => name))('%s: as it signs its own', async (preset) => {
    const stream = await world.running({ auth: { type: 'preset', preset, secrets: [SECRET] } });
    const { kind, status, body, event_id } = await sample(stream.id);
    expect([kind, status, body.received, body.duplicate]).toEqual(['sent', 200, true, undefined]);
    const [entry, ...more] = await world.entries(stream.id);
    expect([entry?.id, more]).toEqual([body.id, []]);
    const data = JSON.parse(entry!.data);
    expect(JSON.stringify(data)).toContain(event_id);
    expect([null, event_id]).toContain(data.event_id);
    expect(entry!.data).not.toContain(SECRET);
  });

  it.each<[string, object]>([
    ['pairs', pairs],
    ['pairs that are parted by ;', { ...pairs, separator: ';' }],
    ['several signatures', { separator: ',', prefix: 'v1=' }],
    ['key bytes in base64', { secret_encoding: 'base64' }],
    ['key bytes in hex', { secret_encoding: 'hex', secrets: ['0a1B2c'] }],
    ['an id that is signed', signedId],
    [
      'a date for a time',
      { ...signedId, timestamp_header: 'X-Time', timestamp_format: 'rfc3339', signed: '{id}{timestamp}{body}' },
    ],
  ])('a scheme of the user’s own, with %s', async (_, of) => {
    const stream = await world.running({ auth: { ...own, ...of } });
    const { status, body, event_id } = await sample(stream.id);
    expect([status, body.received]).toEqual([200, true]);
    const [entry] = await world.entries(stream.id);
    const names = JSON.parse(entry!.data);
    expect(names.body.event_id).toBe(event_id);
    expect(names.event_id).toBe('id_header' in of ? event_id : null);
  });

  it('mailgun has its proof in the body, twilio signs a form', async () => {
    const [mailgun, twilio] = await Promise.all(
      ['mailgun', 'twilio'].map((preset) => world.running({ auth: { type: 'preset', preset, secrets: [SECRET] } })),
    );
    const { event_id } = await sample(mailgun!.id);
    expect(JSON.parse((await world.entries(mailgun!.id))[0]!.data)).toMatchObject({
      event_id,
      body: { test: true, signature: { token: event_id, timestamp: expect.stringMatching(/^\d{10}$/) } },
    });
    await sample(twilio!.id);
    expect(JSON.parse((await world.entries(twilio!.id))[0]!.data)).toMatchObject({
      content_type: 'application/x-www-form-urlencoded',
      body_encoding: 'text',
      body: expect.stringContaining('test=true'),
    });
  });

  it('whoever has no key to sign with says so', async () => {
    const key = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(12);
    const discord = await world.running({
      auth: { type: 'preset', preset: 'discord', secrets: [key.toString('hex')] },
    });
    expect(await sample(discord.id)).toEqual({ kind: 'unsupported' });
    expect(await world.entries(discord.id)).toEqual([]);
  });

  it('that waits for room in the log is not said to be lost', async () => {
    const output = { type: 'redis_stream', retention: { max_entries: 1, on_full: 'block' } };
    const stream = await world.running({ backpressure: 'queue' }, output);
    expect((await post(at, stream, '{}')).status).toBe(200);
    expect(await sample(stream.id)).toEqual({ kind: 'waiting' });
  });

  it('to a stream whose secrets or config can not be used says why (trap 35)', async () => {
    const [sealed, refused] = [await world.create(), await world.create()];
    const box = new SecretBox(Buffer.alloc(32, 9).toString('base64'));
    const change = (id: string, what: string, value: string) =>
      world.store.query(`UPDATE streams SET ${what}, updated_at = clock_timestamp() WHERE id = $1`, [id, value]);
    await change(sealed.id, 'secrets = $2', box.seal('[]', `streams:${sealed.id}`));
    await change(refused.id, 'config = config || $2::jsonb', '{"ordering_key":{"header":"Host"}}');
    expect(await sample(sealed.id)).toEqual({ kind: 'unserved', code: 'secrets_sealed' });
    expect(await sample(refused.id)).toEqual({ kind: 'unserved', code: 'config_invalid' });
  });

  it('to a stream that does not run it is told what senders are', async () => {
    const stopped = await world.create();
    await eventually('it is known', async () => (await sample(stopped.id)).kind === 'sent');
    expect(await sample(stopped.id)).toMatchObject({ kind: 'sent', status: 503 });
  });
});

import { StreamError, type ConnectionSettings, type Source } from '@planasonix/core';
import { discretionOf, secretsIn } from './discreet.js';

const PASSWORD = 'hunter2-of-mine';
const connection: ConnectionSettings = {
  ...{ id: 'conn_1', type: 'postgres' },
  config: { host: 'db', user: 'postgres', password: PASSWORD, sasl: { password: 'another one' }, sslKey: 'PEM KEY' },
};
const echo = () => new StreamError('auth_failed', `password ${PASSWORD} is wrong`, { cause: new Error(PASSWORD) });

describe('what a server says of the secrets that it was given', () => {
  const discreet = discretionOf(connection);

  it('names as secrets what stands under their names and nowhere else', () => {
    expect(secretsIn(connection.config)).toEqual([PASSWORD, 'another one', 'PEM KEY']);
    expect(secretsIn({ user: 'postgres', password: 'postgres' })).toEqual([]);
    expect(secretsIn({ password: 'abc', token: null })).toEqual([]);
  });

  it('is masked, also where the text was cut within it', () => {
    expect(discreet.text(`a ${PASSWORD} b another one`)).toBe('a ******** b ********');
    expect(discreet.text(`it is ${PASSWORD.slice(0, 9)}…`)).toBe('it is ********…');
  });

  it('is masked in an error, its stack and its cause', async () => {
    const error = await discreet.during(Promise.reject(echo())).catch((thrown: unknown) => thrown as StreamError);
    expect(error).toBeInstanceOf(StreamError);
    const { message, stack, cause } = error as StreamError & { cause: Error };
    expect(message).toBe('password ******** is wrong');
    expect(`${stack} ${cause.message} ${cause.stack}`).not.toContain(PASSWORD);
  });

  it('leaves codes and severities what they are, and knows secrets of lists and of several lines', () => {
    const key = '-----BEGIN KEY-----\nabc\n-----END KEY-----';
    const config = { password: 'error', secrets: ['whsec_hidden'], sslKey: key };
    const value = discretionOf({ ...connection, config });
    const finding = { code: 'server_error', severity: 'error', message: 'an error with whsec_hidden' };
    expect(value.value(finding)).toEqual({ ...finding, message: 'an ******** with ********' });
    expect(value.text(`the key ${key.replace(/\n/g, ' ')} is wrong`)).toBe('the key ******** is wrong');
  });

  it('is masked in all that a source tells; what it reads is what it is', async () => {
    class Rogue {
      readonly #word = PASSWORD;
      settle: undefined;
      check = () => Promise.resolve([{ code: 'x', severity: 'error', message: this.#word, fix: `SET ${this.#word}` }]);
      lag() {
        return Promise.reject(new StreamError('source_unreachable', this.#word));
      }
      async *read() {
        yield { data: await Promise.resolve(this.#word) };
        throw echo();
      }
    }
    const source = discreet.source(new Rogue() as unknown as Source);
    expect(Reflect.get(source, 'settle')).toBeUndefined();
    expect(JSON.stringify(await source.check(AbortSignal.abort()))).not.toContain(PASSWORD);
    await expect(source.lag(new Map(), AbortSignal.abort())).rejects.toMatchObject({ message: '********' });
    const read: unknown[] = [];
    const reading = (async () => {
      for await (const batch of source.read(new Map(), AbortSignal.abort())) read.push(batch);
    })();
    await expect(reading).rejects.toMatchObject({ message: 'password ******** is wrong' });
    expect(read).toEqual([{ data: PASSWORD }]);
  });
});

import fc from 'fast-check';
import { createLogger } from './logger.js';
import { NestLog } from './nest-log.js';
import { withoutSecrets } from './redaction.js';

const CANARY = 's3cr3t-canary';

const logging = () => {
  const lines: string[] = [];
  const logger = createLogger('app', 'trace', { write: (line) => void lines.push(line) });
  return { logger, lines, text: () => lines.join('') };
};

describe('the log (trap 35)', () => {
  it('is one line of JSON with level, time and app', () => {
    const { logger, lines } = logging();
    logger.info({ stream_id: 'str_a' }, 'hello');
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'info', name: 'app', stream_id: 'str_a', msg: 'hello' });
    expect(lines[0]!.endsWith('\n')).toBe(true);
  });

  it.each([
    'authorization',
    'Authorization',
    'cookie',
    'set-cookie',
    'password',
    'x-planasonix-api-key',
    'api_key',
    'ENCRYPTION_KEY',
    'secrets',
    'clientSecret',
    'accessToken',
    'sasl',
    'connectionString',
    'key',
  ])('never shows what stands under %s, however deep', (name) => {
    const { logger, text } = logging();
    logger.warn({ [name]: CANARY, a: [{ b: { c: { [name]: { inside: CANARY } } } }] }, 'x');
    expect(text()).not.toContain(CANARY);
  });

  it("does not show what drivers hang onto their errors: a command's arguments, a row, a query's parameters", () => {
    const { logger, text } = logging();
    const redis = Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: [CANARY] } });
    const pg = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: `Key (v)=(${CANARY})`,
      where: CANARY,
    });
    const orm = Object.assign(new Error('failed', { cause: pg }), {
      query: 'insert',
      parameters: [CANARY],
      driverError: pg,
    });
    logger.error({ err: redis }, 'a');
    logger.error({ error: orm, list: [pg] }, 'b');
    logger.error(new AggregateError([redis], 'all'));
    expect(text()).not.toContain(CANARY);
    expect(text()).toContain('23505');
    expect(text()).toContain('WRONGPASS');
    expect(text()).toContain('logger.spec');
  });

  it('does not show passwords in addresses, nor keys of ours, in messages, errors or values', () => {
    const { logger, text } = logging();
    const url = `postgres://me:${CANARY}@db:5432/x`;
    const key = `plnx_live_${CANARY}`;
    logger.info(`dialled ${url} with ${key}`);
    logger.info({ err: new Error(`no ${url}`), url: new URL(url), list: [url, key] }, 'x');
    expect(text()).not.toContain(CANARY);
    expect(text()).toContain('me:[redacted]@db:5432');
  });

  it('takes anything without a fault and within a bound', () => {
    const { logger, lines } = logging();
    const circle: Record<string, unknown> = { n: 1n, bytes: Buffer.alloc(100), map: new Map([['a', 1]]) };
    circle['self'] = circle;
    const hostile = {
      get bad(): string {
        throw new Error('no');
      },
    };
    logger.info({ circle, hostile }, 'x');
    logger.info({ long: 'x'.repeat(1e6), many: Array.from({ length: 1e5 }, (_, i) => i) }, 'y'.repeat(1e6));
    expect(lines).toHaveLength(2);
    expect(lines[1]!.length).toBeLessThan(15_000);
    fc.assert(
      fc.property(
        fc.object({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
        (fields) => {
          logger.info(fields, 'x');
          JSON.parse(lines.at(-1)!);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('a transport that complains at each attempt is heard once in half a minute', () => {
    const { logger, lines } = logging();
    let now = 0;
    const nest = new NestLog(logger, () => now);
    for (let i = 0; i < 100; i++)
      nest.error(new AggregateError([new Error('connect ECONNREFUSED')]), undefined, 'Redis');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ msg: 'connect ECONNREFUSED', context: 'Redis' });
    now = 31_000;
    nest.error(new Error('connect ECONNREFUSED'), 'Redis');
    expect(lines).toHaveLength(2);
  });

  it.each(['a.a.', '://', '://a:', 'x:', 'plnx_live_'])(
    'a long text comes to its end, where one that goes back to its beginning for each %s never does',
    (part) => {
      const { text } = withoutSecrets({ text: part.repeat(1_000_000 / part.length) }) as { text: string };
      expect(text.length).toBeGreaterThan(0);
    },
  );
});

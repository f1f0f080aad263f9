import { failedTest, StreamError, type Check, type SourceType, type StreamSpec } from '@planasonix/core';
import type { AskJob } from '@planasonix/lifecycle';
import { Answers } from './answers.js';
import { Sources } from './sources.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const missing: Check = { code: 'no_tables', severity: 'error', message: 'none', fix: null };

/** What a worker answers about the config `{ of }` of a stream that is about to be created. */
function asked(
  create: (...of: Parameters<SourceType['create']>) => Pick<ReturnType<SourceType['create']>, 'check' | 'close'>,
  draft: object = {},
): Promise<unknown> {
  const type = { create } as unknown as SourceType;
  const answers = new Answers({
    sources: new Sources(type, {} as never, quiet),
    ledger: { spec: () => Promise.resolve(null), positions: (id) => Promise.resolve(new Map([['', id]])) },
    connections: { settingsOf: () => Promise.resolve(null) },
    drafts: { read: () => Promise.resolve({ config: {}, ...draft }) },
    logs: {} as never,
  });
  return answers.answer({ kind: 'tables', draftId: 'draft' } as never, 5_000);
}

describe('a question about the config of a stream that is about to be created', () => {
  it('has for an answer why no source can be made of it', async () => {
    const refused = asked(() => {
      throw new StreamError('config_invalid', 'topics or topic_pattern is required', { hint: 'Name one.' });
    });
    const checks = [{ code: 'config_invalid', severity: 'error', message: 'topics or topic_pattern is required', fix: 'Name one.' }]; // prettier-ignore
    expect(await refused).toEqual({ ok: false, checks });
  });

  it('has findings about the config for an answer, and no others', async () => {
    const other: Check = { code: 'wal_level', severity: 'error', message: 'low', fix: null };
    const source = { check: () => Promise.resolve([other, missing]), close: () => Promise.resolve() };
    expect(await asked(() => source)).toEqual({ ok: false, checks: [missing] });
  });

  it('is asked with the positions of the stream whose config is changed, and with none for a new one', async () => {
    const reached = new Array<unknown>();
    const create: SourceType['create'] = (context) => {
      const check = async (): Promise<readonly Check[]> => {
        reached.push(await context.reached?.());
        return [];
      };
      return { check, close: () => Promise.resolve() } as never;
    };
    await asked(create);
    await asked(create, { streamId: 'str_1' });
    expect(reached).toEqual([undefined, new Map([['', 'str_1']])]);
  });

  it('is not answered where the source can not be asked', async () => {
    const source = {
      check: () => Promise.reject(new StreamError('source_unreachable', 'gone')),
      close: () => Promise.resolve(),
    };
    await expect(asked(() => source)).rejects.toMatchObject({ code: 'source_unreachable' });
  });
});

describe('a check of a stream that nobody reads', () => {
  const lost = new StreamError('slot_lost', 'The replication slot s is gone.');
  const finding = { code: 'slot_lost', severity: 'error', message: lost.message, fix: lost.hint };
  const positions = new Map([['', '{}']]);
  const checked = async (
    of: Partial<StreamSpec> & { readonly at?: ReadonlyMap<string, string> },
    { failure = lost, found = [] as readonly Check[] } = {},
  ) => {
    const { at = positions, ...more } = of;
    const asked: unknown[] = [];
    const spec = { id: 'str_1', status: 'stopped', onLostPosition: null, connection: null, output: {}, ...more };
    const source = {
      check: () => Promise.resolve(found),
      lag: (from: unknown) => (asked.push(from), Promise.reject(failure)),
      close: () => Promise.resolve(),
    };
    const answers = new Answers({
      sources: new Sources({ create: () => source } as unknown as SourceType, {} as never, quiet),
      ledger: { spec: () => Promise.resolve(spec as unknown as StreamSpec), positions: () => Promise.resolve(at) },
      ...{ connections: {} as never, drafts: {} as never },
      logs: { of: () => ({ check: () => Promise.resolve([]) }) } as never,
    });
    const answer = await answers.answer({ kind: 'check', streamId: 'str_1' } as never, 5_000);
    return { answer, asked };
  };

  it('finds that its place is lost', async () => {
    for (const status of ['stopped', 'error'] as const)
      expect(await checked({ status })).toEqual({
        answer: { ok: false, checks: [finding] },
        asked: [positions],
      });
  });

  it('finds nothing lost where it has no place, has given it up, is read, or the source only does not answer', async () => {
    const fine = { ok: true, checks: [] };
    for (const of of [
      { status: 'created', at: new Map() },
      { at: new Map() },
      { onLostPosition: 'skip' },
      { status: 'running' },
      { status: 'paused' },
    ] as const)
      expect(await checked(of)).toEqual({ answer: fine, asked: [] });
    const failure = new StreamError('source_unreachable', 'gone');
    expect((await checked({}, { failure })).answer).toEqual(fine);
  });

  it('does not look for it where it can not start anyway', async () => {
    const found: Check[] = [{ code: 'wal_level', severity: 'error', message: 'low', fix: null }];
    expect(await checked({}, { found })).toEqual({ answer: { ok: false, checks: found }, asked: [] });
  });
});

it('what a rogue server says in a test shows no secret that it was given, and is no longer than a line', async () => {
  const connection = { type: 'postgres', config: { host: 'db', password: 'hunter2-of-mine' } };
  const failure = new StreamError('auth_failed', 'password hunter2-of-mine is wrong');
  const asked = (testConnection: () => Promise<unknown>) =>
    new Answers({
      sources: new Sources({ testConnection } as unknown as SourceType, {} as never, quiet),
      ...{ ledger: {} as never, connections: {} as never, logs: {} as never },
      drafts: { read: () => Promise.resolve({ connection }) },
    }).answer({ kind: 'connection_test', draftId: 'draft' } as never, 5_000);
  const report = { ...failedTest(failure), serverVersion: `hunter2-of-mine\u001b${'x'.repeat(3_000_000)}` };
  const answer = JSON.stringify(await asked(() => Promise.resolve(report)));
  expect(answer).not.toContain('hunter2');
  expect(answer.length).toBeLessThan(1_000);
  await expect(asked(() => Promise.reject(failure))).rejects.toMatchObject({ message: 'password ******** is wrong' });
});

describe('secrets that can not be read (trap 35)', () => {
  const sealed = new StreamError('secrets_sealed', 'sealed with another key');
  const spec = {
    id: 'str_1',
    connection: null,
    sealed: sealed.message,
    output: { type: 'redis_stream' },
  } as unknown as StreamSpec;
  const answers = new Answers({
    sources: new Sources({} as SourceType, {} as never, quiet),
    ledger: { spec: () => Promise.resolve(spec), positions: () => Promise.resolve(new Map()) },
    connections: { settingsOf: () => Promise.reject(sealed) },
    drafts: { read: () => Promise.resolve({ position: {}, order: { tables: ['t'], where: null } }) },
    logs: { of: () => ({ check: () => Promise.resolve([]) }) } as never,
  });
  const { code, message, hint } = sealed;
  const finding = { code, severity: 'error', message, fix: hint };

  it.each([
    ['check', { ok: false, checks: [finding] }],
    ['connection_test', { ok: false, message, checks: [finding] }],
    ['order', { supported: true, checks: [finding] }],
    ['settle', { kind: 'refused', code, message, hint }],
    ['release', { released: [], remaining: [{ what: 'everything at the source', why: message, code }] }],
  ] as const)('are the answer to %s', async (kind, answer) => {
    const job: AskJob = { kind, streamId: 'str_1', connectionId: 'conn_1', draftId: 'd', deadline: 0 };
    expect(await answers.answer(job, 5_000)).toMatchObject(answer);
  });
});

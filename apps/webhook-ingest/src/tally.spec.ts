import { Tally, type AnswerNote } from './tally.js';

const note = (atMs: number, status: number): AnswerNote => ({
  ...{ atMs, status, event_id: null, id: null },
  reason: status < 400 ? null : 'not_durable',
});
const times = (answers: readonly string[]): readonly number[] =>
  answers.map((text) => Date.parse((JSON.parse(text) as { at: string }).at));

describe('what an instance counts and notes between two reports', () => {
  it('is told once', () => {
    const tally = new Tally();
    tally.answered(note(1, 200));
    tally.answered(note(2, 503));
    expect(tally.take()).toMatchObject({ counts: { errors: 1, rejected: 0 } });
    expect(tally.take()).toMatchObject({ answers: [], failures: [] });
    expect(tally.isEmpty).toBe(true);
  });

  it('is no error of ours where a stranger may have caused it', () => {
    const tally = new Tally();
    tally.answered(note(1, 401));
    tally.answered({ ...note(2, 503), reason: 'key_unknown' });
    tally.answered({ ...note(3, 503), reason: 'keys_unavailable' });
    expect(tally.take()).toMatchObject({ counts: { errors: 1, rejected: 2 } });
  });

  it('is told later where it could not be: the answers of an outage, too, and no more than fifty of each kind', () => {
    const tally = new Tally();
    tally.answered(note(1, 200));
    for (let at = 2; at < 50; at++) tally.answered(note(at, 503));
    const taken = tally.take();
    for (let at = 50; at < 60; at++) tally.answered(note(at, 503));
    tally.putBack(taken);
    const again = tally.take();
    expect(again.counts.errors).toBe(58);
    expect(times(again.answers)).toEqual([1]);
    expect(times(again.failures)).toEqual(Array.from({ length: 50 }, (_, i) => 10 + i));
  });
});

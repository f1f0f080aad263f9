import type { LogEvent } from '../log.js';
import { HookLedger, type Delivery } from './hook-ledger.js';
import { CHARGES } from './oracle.js';

const delivery = (n: number, parts = 1, sender = 'a'): Delivery => ({
  ...{ id: `${sender}.${n}`, sender, n },
  parts: Array.from({ length: parts }, (_, i) => `{"n":${n}, "i":${i}}`),
});

const eventOf = ({ id, sender, parts }: Delivery, i: number, more: Partial<LogEvent> = {}): LogEvent => ({
  ...{ entry: '', type: '', subject: '', time: '', source: '', data: {} as LogEvent['data'] },
  ...{ id: `str/${id}/${i}`, partitionkey: sender, text: `{"body":${parts[i]!},"body_encoding":"json","headers":[]}` },
  ...more,
});
const eventsOf = (of: Delivery): LogEvent[] => of.parts.map((_, i) => eventOf(of, i));

/** What is charged when these were sent and confirmed, and this is the log. */
function charged(
  sent: readonly Delivery[],
  log: readonly LogEvent[],
  more: (ledger: HookLedger) => void = () => undefined,
): string[] {
  const ledger = new HookLedger('str');
  for (const one of sent) {
    ledger.sending(one);
    ledger.confirmed(one.id, `str/${one.id}`);
  }
  more(ledger);
  ledger.take(log);
  const findings = ledger.judge();
  return CHARGES.flatMap((charge) => findings[charge].map(() => charge));
}

describe('the judge of webhooks', () => {
  const [one, two, many] = [delivery(1), delivery(2), delivery(3, 3)];
  const whole = [one, two, many].flatMap(eventsOf);

  it('finds nothing where each delivery is there once, whole and in order', () => {
    expect(charged([one, two, many], whole)).toEqual([]);
    const other = delivery(1, 2, 'b');
    expect(charged([one, two, other], [...eventsOf(other), ...eventsOf(one), ...eventsOf(two)])).toEqual([]);
  });

  it('what was confirmed and is not there is lost, what was not is not (trap 29)', () => {
    expect(charged([one, two], eventsOf(two))).toEqual(['lost']);
    expect(charged([one], eventsOf(one), (ledger) => ledger.sending(two))).toEqual([]);
  });

  it('what nobody has sent, or nobody has proved, is a phantom (trap 28)', () => {
    expect(charged([one], [...eventsOf(one), ...eventsOf(two)])).toEqual(['phantom']);
    expect(charged([], eventsOf(one), (ledger) => ledger.sending(one, true))).toEqual(['phantom']);
    const confirmed = (ledger: HookLedger): void => {
      ledger.sending(one, true);
      ledger.confirmed(one.id, `str/${one.id}`);
    };
    expect(charged([], [], confirmed)).toEqual(['phantom']);
  });

  it('what is there twice is repeated, also after a verdict', () => {
    expect(charged([one, two], [...eventsOf(one), ...eventsOf(two), ...eventsOf(one)])).toContain('repeated');
    expect(charged([one], [...eventsOf(one), ...eventsOf(one)])).toEqual(['repeated']);
    const ledger = new HookLedger('str');
    ledger.sending(one);
    ledger.take(eventsOf(one));
    expect(ledger.judge().repeated).toEqual([]);
    ledger.take(eventsOf(one));
    expect(ledger.judge().repeated).toHaveLength(1);
  });

  it('what is there in part or in pieces is torn', () => {
    expect(charged([many], eventsOf(many).slice(0, 2))).toEqual(['torn']);
    expect(charged([many], eventsOf(many).slice(1))).toContain('torn');
    const [first, ...rest] = eventsOf(many);
    expect(charged([many, one], [first!, ...eventsOf(one), ...rest])).toContain('torn');
  });

  it('another text, key, order or id is wrong (trap 31)', () => {
    expect(charged([one], [eventOf(one, 0, { text: '{"body":{"n":1,"i":0},"body_encoding":"json"}' })])).toEqual([
      'wrong',
    ]);
    expect(charged([one], [eventOf(one, 0, { partitionkey: 'b' })])).toContain('wrong');
    expect(charged([one, two], [...eventsOf(two), ...eventsOf(one)])).toEqual(['wrong']);
    expect(charged([one], eventsOf(one), (ledger) => ledger.confirmed(one.id, 'str/another'))).toEqual(['wrong']);
  });
});

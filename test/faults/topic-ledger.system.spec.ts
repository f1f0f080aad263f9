import type { LogEvent } from '../log.js';
import { CHARGES } from './oracle.js';
import { random } from './random.js';
import { TopicLedger } from './topic-ledger.js';
import { recordOf, type TopicPlace, type TopicRecord } from './topic-records.js';

const ORDERS: TopicPlace = { topic: 'orders', making: 1, partition: 0 };
const OTHER: TopicPlace = { ...ORDERS, partition: 1 };
const ANEW: TopicPlace = { ...ORDERS, making: 2 };
const [ID, ID_ANEW] = ['a'.repeat(32), 'b'.repeat(32)];
const AT = Date.UTC(2026, 0, 31);

const record = (n: number, place = ORDERS): TopicRecord => recordOf(`0.${n}`, place, AT + n, random(n, 'spec'));

/** As it has to stand in the log. */
function eventOf(of: TopicRecord, offset: number, more: Partial<LogEvent> = {}, topicId = ID): LogEvent {
  const { topic, partition, text, partitionkey, timestamp } = of;
  const source = `{"topic":"${topic}","partition":${partition},"offset":${offset},"timestamp":${timestamp},"leader_epoch":0}`;
  return {
    ...{ entry: '', type: '', source: '', data: {} as LogEvent['data'], subject: topic, partitionkey },
    ...{ id: `${topic}/${topicId}/${partition}/${offset}`, time: new Date(timestamp).toISOString() },
    text: `${text}"source":${source}}`,
    ...more,
  };
}

/** All of them kept, from offset 10 on in their partition. */
function kept(...records: readonly TopicRecord[]): TopicLedger {
  const ledger = new TopicLedger();
  ledger.sending(records);
  for (const { partition } of [ORDERS, OTHER]) {
    const there = records.filter((one) => one.partition === partition);
    ledger.placed(there, 10);
    ledger.decided(there, 'kept');
  }
  return ledger;
}

function charged(ledger: TopicLedger, log: readonly LogEvent[], told = false): string[] {
  ledger.take(log.map((event) => ({ event, durableAt: AT })));
  const findings = ledger.judge(told);
  return CHARGES.flatMap((charge) => findings[charge].map(() => charge));
}

describe('the judge of topics', () => {
  const [one, two, three] = [record(1), record(2), record(3)];
  const elsewhere = record(4, OTHER);
  const whole = [eventOf(one, 10), eventOf(two, 11), eventOf(three, 12)];

  it('finds nothing where each record is there once, whatever lies between the partitions', () => {
    expect(charged(kept(one, two, three), whole)).toEqual([]);
    const [first, ...rest] = whole;
    expect(charged(kept(one, two, three, elsewhere), [first!, eventOf(elsewhere, 10), ...rest])).toEqual([]);
    expect(charged(kept(...Array.from({ length: 60 }, (_, n) => record(n))), [])).toHaveLength(60);
  });

  it('what was kept and is not there is lost; what was aborted, or nobody was told of, is not (trap 25a)', () => {
    expect(charged(kept(one, two, three), whole.slice(1))).toEqual(['lost']);
    const ledger = kept(one);
    ledger.sending([two, three]);
    ledger.decided([two], 'aborted');
    ledger.decided([three], 'unknown');
    expect(charged(ledger, whole.slice(0, 1))).toEqual([]);
  });

  it('the topic has the word where nobody was told', () => {
    const asked = (): TopicLedger => {
      const ledger = new TopicLedger();
      ledger.sending([one]);
      ledger.decided([one], 'unknown');
      ledger.holds([{ id: one.id, topic: 'orders', partition: 0, offset: 10 }]);
      return ledger;
    };
    expect(asked().missing(false)).toBe(1);
    expect(charged(asked(), [])).toEqual(['lost']);
    expect(charged(asked(), [eventOf(one, 10)])).toEqual([]);
  });

  it('what was aborted, before or after it came, or was never sent, is a phantom (trap 25a)', () => {
    const aborted = new TopicLedger();
    aborted.sending([one]);
    aborted.decided([one], 'aborted');
    expect(charged(aborted, [eventOf(one, 10)])).toEqual(['phantom']);
    const later = new TopicLedger();
    later.sending([one]);
    later.take([{ event: eventOf(one, 10), durableAt: AT }]);
    later.decided([one], 'aborted');
    expect(charged(later, [])).toEqual(['phantom']);
    expect(charged(kept(one), [eventOf(one, 10), eventOf(two, 11)])).toEqual(['phantom']);
  });

  it('what is there twice is repeated, also after a verdict', () => {
    expect(charged(kept(one, two), [eventOf(one, 10), eventOf(two, 11), eventOf(two, 11)])).toContain('repeated');
    const ledger = kept(one);
    expect(charged(ledger, [eventOf(one, 10)])).toEqual([]);
    expect(charged(ledger, [eventOf(one, 10)])).toContain('repeated');
    expect(charged(kept(one), [eventOf(one, 10), eventOf(one, 12)])).toEqual(['repeated']);
  });

  it('another order, place, text, key or time is wrong', () => {
    expect(charged(kept(one, two, three), [whole[1]!, whole[0]!, whole[2]!])).toEqual(['wrong']);
    expect(charged(kept(one), [eventOf(one, 11)])).toEqual(['wrong']);
    expect(charged(kept(one), [eventOf(one, 10, { text: whole[0]!.text.replace('text"]', 'json"]') })])).not.toEqual(
      [],
    );
    expect(charged(kept(one), [eventOf(one, 10, { text: whole[0]!.text.replace('"value', '"vaIue') })])).toEqual([
      'wrong',
    ]);
    for (const more of [{ partitionkey: 'another' }, { subject: 'payments' }, { time: '2026-01-31T00:00:00Z' }])
      expect(charged(kept(one), [eventOf(one, 10, more)])).toEqual(['wrong']);
  });

  it('what is gone is lost where nobody was told, and nothing else is excused', () => {
    const gone = (): TopicLedger => {
      const ledger = kept(one, two, three);
      ledger.gone(ORDERS, 12);
      return ledger;
    };
    expect(gone().missing(true)).toBe(1);
    expect(gone().missing(false)).toBe(3);
    expect(charged(gone(), whole.slice(2), true)).toEqual([]);
    expect(charged(gone(), whole.slice(2), false)).toEqual(['lost', 'lost']);
    expect(charged(gone(), [], true)).toEqual(['lost']);
    expect(charged(gone(), whole, false)).toEqual([]);
  });

  it('a topic that is made again has an id of its own (trap 24)', () => {
    const again = (topicId: string): string[] => {
      const ledger = kept(one);
      ledger.gone(ORDERS);
      const anew = record(9, ANEW);
      ledger.sending([anew]);
      ledger.placed([anew], 0);
      ledger.decided([anew], 'kept');
      return charged(ledger, [eventOf(one, 10), eventOf(anew, 0, {}, topicId)], true);
    };
    expect(again(ID_ANEW)).toEqual([]);
    expect(again(ID)).toContain('wrong');
  });

  it('it goes on when every partition does', () => {
    const ledger = kept(one, elsewhere);
    ledger.take([{ event: eventOf(one, 10), durableAt: 1000 }]);
    expect(ledger.wentOn(0, [ORDERS, OTHER])).toBeNull();
    ledger.take([{ event: eventOf(elsewhere, 10), durableAt: 2000 }]);
    expect(ledger.wentOn(0, [ORDERS, OTHER])).toBe(2000);
    expect(ledger.wentOn(Date.now(), [ORDERS])).toBeNull();
  });
});

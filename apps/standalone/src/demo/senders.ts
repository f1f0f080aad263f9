import { createHmac, randomBytes } from 'node:crypto';

export interface Delivery {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A vendor as the demo plays it: what it sends, and how it signs that. */
export interface Sender {
  readonly name: string;
  readonly preset: string;
  readonly secret: string;
  next(n: number): Delivery;
}

const hex = (secret: string, text: string): string => createHmac('sha256', secret).update(text).digest('hex');
const now = (): string => String(Math.floor(Date.now() / 1000));

function stripe(): Sender {
  const secret = `whsec_${randomBytes(24).toString('base64url')}`;
  return {
    ...{ name: 'payments', preset: 'stripe', secret },
    next: (n) => {
      const body = JSON.stringify({ id: `evt_${n}`, type: 'charge.succeeded', data: { amount: 100 + n } });
      const at = now();
      return { body, headers: { 'stripe-signature': `t=${at},v1=${hex(secret, `${at}.${body}`)}` } };
    },
  };
}

function github(): Sender {
  const secret = randomBytes(24).toString('hex');
  return {
    ...{ name: 'commits', preset: 'github', secret },
    next: (n) => {
      const body = JSON.stringify({ ref: 'refs/heads/main', after: n.toString(16).padStart(40, '0') });
      const headers = { 'x-github-event': 'push', 'x-github-delivery': `push-${n}` };
      return { body, headers: { ...headers, 'x-hub-signature-256': `sha256=${hex(secret, body)}` } };
    },
  };
}

function slack(): Sender {
  const secret = randomBytes(16).toString('hex');
  return {
    ...{ name: 'messages', preset: 'slack', secret },
    next: (n) => {
      const body = JSON.stringify({
        type: 'event_callback',
        event_id: `Ev${n}`,
        event: { type: 'message', text: `no. ${n}` },
      });
      const at = now();
      const signature = `v0=${hex(secret, `v0:${at}:${body}`)}`;
      return { body, headers: { 'x-slack-request-timestamp': at, 'x-slack-signature': signature } };
    },
  };
}

export const senders = (): readonly Sender[] => [stripe(), github(), slack()];

import type { Log } from '@planasonix/core';
import { of, throwError, type Observable } from 'rxjs';
import { LossyEmitter } from './lossy-emitter.js';

describe('an emitter that loses what it can not send', () => {
  it('tells each reason once, and again after something was sent', async () => {
    const told: unknown[] = [];
    const quiet = () => undefined;
    const log: Log = { debug: quiet, info: quiet, warn: (fields) => told.push(fields), error: quiet };
    let answer: () => Observable<unknown> = () => of(1);
    const emitter = new LossyEmitter(
      { create: () => ({ emit: () => answer() as Observable<never> }), drop: quiet, sendMs: 1_000 },
      log,
    );
    const fails = (error: Error) => () => throwError(() => error);
    const errors = [new Error('no such topic'), new Error('not allowed')];
    const many = Object.assign(new Error('several'), { errors });
    const refused = fails(new Error('wrong\npassword'));
    const answers = [refused, refused, fails(many), () => of(1), refused];
    for (answer of answers) await emitter.emit('p', 1);
    const reasons = ['wrong password', 'no such topic; not allowed', 'wrong password'];
    expect(told).toEqual(reasons.map((reason) => ({ pattern: 'p', reason })));
  });
});

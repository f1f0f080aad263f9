import type { Log } from '@planasonix/core';

/** Keeps what was said, for the test that asks. */
export class SilentLog implements Log {
  readonly lines: { level: string; fields: object; message: string }[] = [];
  readonly debug = this.#line('debug');
  readonly info = this.#line('info');
  readonly warn = this.#line('warn');
  readonly error = this.#line('error');

  #line(level: string) {
    return (fields: object, message: string) => void this.lines.push({ level, fields, message });
  }
}

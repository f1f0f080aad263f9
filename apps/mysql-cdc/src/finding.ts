import type { Check } from '@planasonix/core';

/** Findings of a preflight, by how bad they are. */
export const info = (code: string, message: string): Check => ({ code, severity: 'info', message, fix: null });
export const failed = (code: string, message: string, fix: string): Check => ({
  code,
  severity: 'error',
  message,
  fix,
});
export const warned = (code: string, message: string, fix: string | null): Check => ({
  ...{ code, severity: 'warning', message, fix },
});

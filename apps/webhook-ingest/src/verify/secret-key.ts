import { strictBytes } from './compare.js';

/** What secrets look like that stand for bytes: a regular expression, the same in words, and the bytes, `null` where it is none. */
export const SECRET_KEYS = {
  hex: {
    pattern: '^(?:[0-9A-Fa-f]{2})+$',
    means: 'hex, two digits for each byte',
    bytes: (secret: string) => strictBytes(secret, 'hex'),
  },
  base64: {
    pattern: '^(?:whsec_)?(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$',
    means: 'base64, with whsec_ before it or without',
    bytes: (secret: string) => strictBytes(secret.replace(/^whsec_/, ''), 'base64'),
  },
} as const;

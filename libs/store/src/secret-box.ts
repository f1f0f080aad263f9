import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { StreamError } from '@planasonix/core';

const ALGORITHM = 'aes-256-gcm';
const VERSION = 'v1';

/** Eight hex digits of the key's SHA-256: names the key in an envelope without telling anything about it. */
const keyId = (key: Buffer): string => createHash('sha256').update(key).digest('hex').slice(0, 8);

/**
 * Secrets at rest: AES-256-GCM. The row that a secret belongs to is authenticated with it, so that a sealed secret
 * moved to another row does not open; the key's id stands in the envelope, so that keys can be rotated.
 */
export class SecretBox {
  private readonly keys: ReadonlyMap<string, Buffer>;
  private readonly current: string;

  /** @param key 32 bytes, base64: seals and opens. @param older keys that still open. */
  constructor(key: string, older: readonly string[] = []) {
    const all = [key, ...older].map((text) => {
      const bytes = Buffer.from(text, 'base64');
      if (bytes.length !== 32) throw new Error('ENCRYPTION_KEY has to be 32 bytes in base64.');
      return bytes;
    });
    this.keys = new Map(all.map((bytes) => [keyId(bytes), bytes]));
    this.current = keyId(all[0]!);
  }

  /** @param aad what the secret is bound to, such as `connections:conn_…`. */
  seal(plaintext: string, aad: string): string {
    const iv = randomBytes(12);
    const cipher = createCipheriv(ALGORITHM, this.keys.get(this.current)!, iv).setAAD(Buffer.from(aad));
    const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
    return [
      VERSION,
      this.current,
      iv.toString('base64'),
      cipher.getAuthTag().toString('base64'),
      sealed.toString('base64'),
    ].join('.');
  }

  /**
   * @throws StreamError `secrets_sealed` when its key is not known, or the envelope was moved or changed. Never tells the
   * secret.
   */
  open(envelope: string, aad: string): string {
    const [version, id, iv, tag, text] = envelope.split('.');
    const key = this.keys.get(id ?? '');
    if (version !== VERSION || iv === undefined || tag === undefined || text === undefined)
      throw sealed('The secrets can not be opened: they are no sealed secrets.');
    if (key === undefined)
      throw sealed(`The secrets were sealed with another ENCRYPTION_KEY (${id}), which is not known here.`);
    try {
      const decipher = createDecipheriv(ALGORITHM, key, Buffer.from(iv, 'base64'), { authTagLength: 16 })
        .setAAD(Buffer.from(aad))
        .setAuthTag(Buffer.from(tag, 'base64'));
      return Buffer.concat([decipher.update(Buffer.from(text, 'base64')), decipher.final()]).toString('utf8');
    } catch {
      throw sealed('The secrets can not be opened: they were changed, or moved from another row.');
    }
  }
}

const sealed = (message: string): StreamError => new StreamError('secrets_sealed', message);

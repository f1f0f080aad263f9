import { readFileSync } from 'node:fs';
import { createSecureContext, type Server } from 'node:tls';
import type { Clock, Log } from '@planasonix/core';

/** Paths of PEM files: the certificate with those that lead to its root, and its key. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** Their contents. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** What was renewed is served within this time. */
const LOOK_MS = 60_000;

/** @throws Error: a file that can't be read, or is not what it should be; a key of another certificate */
function read({ cert, key }: TlsFiles): TlsIdentity {
  const identity = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
  createSecureContext(identity);
  return identity;
}

/** Who the door is, where TLS ends at it. */
export class DoorTls {
  #served: TlsIdentity;

  /** @throws Error where these files are not right */
  constructor(private readonly files: TlsFiles) {
    this.#served = read(files);
  }

  get served(): TlsIdentity {
    return this.#served;
  }

  /** Files that are renewed are served by themselves; what can't be used, such as half of a renewal, is not. */
  async keepRenewed(
    servers: readonly Pick<Server, 'setSecureContext'>[],
    { clock, log, signal }: { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal },
  ): Promise<void> {
    while (await clock.sleep(LOOK_MS, signal)) {
      try {
        const found = read(this.files);
        if (found.cert === this.#served.cert && found.key === this.#served.key) continue;
        for (const server of servers) server.setSecureContext(found);
        this.#served = found;
        log.info({}, 'a renewed certificate is served');
      } catch (error) {
        // Its message may quote what could not be read.
        const { code } = error as { code?: unknown };
        log.warn({ code }, 'the certificate can not be renewed: its files are not right');
      }
    }
  }
}

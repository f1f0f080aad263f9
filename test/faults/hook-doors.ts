/** Instances of webhook-ingest that listen at the same time, which those of one `npm start` do not: each is restarted when it ends. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort, guardProcess } from '@planasonix/testing';

const AGAIN_MS = 200;

export interface DoorOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly encryptionKey: string;
  readonly logFile: string;
}

/** An instance with a port of its own, beside the one that the product has. */
export class OwnDoor {
  #child: ChildProcess | null = null;
  #ended = false;

  private constructor(
    readonly port: number,
    private readonly options: DoorOptions,
  ) {}

  static async open(options: DoorOptions): Promise<OwnDoor> {
    const door = new OwnDoor(await freePort(), options);
    void door.#keep();
    return door;
  }

  /** None while it is being restarted. */
  get pids(): readonly number[] {
    const child = this.#child;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null ? [child.pid] : [];
  }

  async end(): Promise<void> {
    this.#ended = true;
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  async #keep(): Promise<void> {
    const { databaseUrl, redisUrl, encryptionKey, logFile } = this.options;
    while (!this.#ended) {
      const out = openSync(logFile, 'a');
      const child = spawn(process.execPath, ['dist/webhook-ingest/main.cjs'], {
        stdio: ['ignore', out, out],
        env: {
          ...process.env,
          ...{ DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, ENCRYPTION_KEY: encryptionKey },
          ...{ HOST: '127.0.0.1', INGEST_PORT: String(this.port), NODE_ENV: 'development' },
        },
      });
      closeSync(out);
      this.#child = child;
      const release = child.pid === undefined ? () => undefined : guardProcess(child.pid);
      await new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
      release();
      await wait(AGAIN_MS);
    }
  }
}

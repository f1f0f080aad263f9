/**
 * Appends 875-byte entries of seven fields with fsync `always`, and prints entries/s and CPU per entry. Arguments:
 * entries, batch, in flight, batches of how many entries are transactions, settings of Redis.
 * Run: npx esbuild libs/sinks/src/redis-stream/append.bench.ts --bundle --platform=node --log-level=error | node - 600000 1000 6 64
 */
import { readFileSync } from 'node:fs';
import { systemClock, type ChangeBatch, type ChangeEvent } from '@planasonix/core';
// A bench, like a spec, may use the real servers.
// eslint-disable-next-line @nx/enforce-module-boundaries
import { startRedis } from '@planasonix/testing';
import { TRANSACTION_FROM } from './appends.js';
import { redisFactory } from './connection.js';
import { RedisLog } from './redis-log.js';

const TOTAL = Number(process.argv[2] ?? 600_000);
const SIZE = Number(process.argv[3] ?? 1_000);
const IN_FLIGHT = Number(process.argv[4] ?? 6);
const TRANSACTIONS = Number(process.argv[5] ?? TRANSACTION_FROM);
const ROWS_A_TRANSACTION = 100;

/** Made once: making them is the decoder's work, not the sink's. */
const DATA = Array.from({ length: 1_000 }, (_, i) =>
  Buffer.from(`{"op":"c","before":null,"after":{"id":${100_000 + i},"note":"${'x'.repeat(682)}"}}`),
);
const KEYS = Array.from({ length: 1_000 }, (_, i) => `{"id":${100_000 + i}}`);

function batchOf(first: number): ChangeBatch {
  const events: ChangeEvent[] = [];
  let [prefix, time] = ['', ''];
  for (let i = first; i < first + SIZE; i++) {
    const commit = 0x1600000000 + Math.floor(i / ROWS_A_TRANSACTION) * 4096;
    const timeMs = 1_743_099_298_000 + Math.floor(i / ROWS_A_TRANSACTION);
    if (i % ROWS_A_TRANSACTION === 0 || i === first) {
      prefix = `${commit.toString(16).toUpperCase().padStart(16, '0')}-0000`;
      time = new Date(timeMs).toISOString();
    }
    const order = prefix + String(1_000 + (i % ROWS_A_TRANSACTION));
    events.push({
      id: order,
      type: 'com.planasonix.row.insert',
      subject: 'public.orders',
      time,
      timeMs,
      partitionkey: KEYS[i % 1_000]!,
      data: DATA[i % 1_000]!,
      order,
    });
  }
  return { partition: '', events, position: `{"lsn":"${first + SIZE}","system":"7435"}` };
}

/** Microseconds of Redis and of the processes that rewrote its AOF. */
const serverCpu = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
  return fields.slice(13, 17).reduce((sum, ticks) => sum + Number(ticks), 0) * 10_000;
};

async function main(): Promise<void> {
  const redis = await startRedis({ args: process.argv.slice(6) });
  const log = new RedisLog(
    { type: 'redis_stream', retention: { max_entries: 100_000_000, on_full: 'block' } },
    redisFactory(redis.url),
    systemClock,
    TRANSACTIONS,
  );
  const sink = log.sink('str_01j9k9z0a1b2c3d4e5f6g7h8j9', 1);
  try {
    await sink.open();
    const signal = new AbortController().signal;
    const under: Promise<unknown>[] = [];
    const [server, started] = [serverCpu(redis.pid), performance.now()];
    let client = 0;
    for (let first = 0; first < TOTAL; first += SIZE) {
      const batch = batchOf(first); // made outside of the client's account
      const before = process.cpuUsage();
      under.push(sink.append(batch, signal));
      if (under.length >= IN_FLIGHT) await under.shift();
      const spent = process.cpuUsage(before);
      client += spent.user + spent.system;
    }
    await Promise.all(under);
    const seconds = (performance.now() - started) / 1_000;
    const depth = await log.depth('str_01j9k9z0a1b2c3d4e5f6g7h8j9');
    process.stdout.write(
      `${JSON.stringify({ entries: depth, per_second: Math.round(depth / seconds), batch: SIZE, in_flight: IN_FLIGHT, redis_us: (serverCpu(redis.pid) - server) / depth, client_us: client / depth })}\n`,
    );
  } finally {
    await sink.close();
    await log.close();
    await redis.stop();
  }
}

void main();

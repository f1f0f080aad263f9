import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { eventually, tempDir } from '@planasonix/testing';
import { chosenApps, distinctPorts, startStack } from './stack.js';
import { refuseTakenPorts } from './start.js';

it('a stop while an app has not answered yet whether it is ready waits for no answer', async () => {
  const root = tempDir('stack');
  for (const folder of ['apps/mute/src', 'dist/mute']) mkdirSync(path.join(root, folder), { recursive: true });
  writeFileSync(path.join(root, 'apps/mute/src/main.ts'), '');
  writeFileSync(
    path.join(root, 'dist/mute/main.cjs'),
    `require('node:http').createServer(() => console.log('asked')).listen(process.env.HEALTH_PORT, '127.0.0.1')`,
  );
  const lines: string[] = [];
  const given = {
    databaseUrl: 'postgres://127.0.0.1:1/x',
    redisUrl: 'redis://127.0.0.1:1',
    encryptionKey: 'of a test',
  };
  const stack = await startStack({
    ...given,
    ...{ root, apiKey: 'plnx_live_of_a_test', host: '127.0.0.1', port: 1, workers: 1, connectors: null, env: {} },
    write: (line) => lines.push(line),
  });
  await eventually('it is asked', () => lines.includes('mute | asked'), { everyMs: 20 });
  const began = performance.now();
  await stack.stop();
  expect(performance.now() - began).toBeLessThan(2000);
  expect(await stack.ready()).toBe(false);
});

it('no app is given a port that another was given, or the gateway, or the door of webhooks', () => {
  const drawn = [3000, 3001, 4000, 4000, 4001];
  const ports = distinctPorts([3000, 3001], () => Promise.resolve(drawn.shift()!));
  return expect(Promise.all([ports(), ports()])).resolves.toEqual([4000, 4001]);
});

it('a port that somebody has is refused by the variable that says it, that of webhooks where they are taken in', async () => {
  const other = createServer();
  const taken = await new Promise<number>((resolve) =>
    other.listen(0, '127.0.0.1', () => resolve((other.address() as AddressInfo).port)),
  );
  const given = { host: '127.0.0.1', port: 0, ingestPort: 0 };
  const apps = ['api-gateway', 'webhook-ingest'];
  await expect(refuseTakenPorts({ ...given, port: taken }, apps)).rejects.toThrow('set PORT to another');
  await expect(refuseTakenPorts({ ...given, ingestPort: taken }, apps)).rejects.toThrow('set INGEST_PORT to another');
  await refuseTakenPorts({ ...given, ingestPort: taken }, ['api-gateway']);
  other.close();
});

it('runs the connectors that are named, with gateway and aggregator; a name that none has is refused by those there are', () => {
  const root = tempDir('apps');
  for (const app of ['api-gateway', 'kafka-ingest', 'metrics-aggregator', 'postgres-cdc']) {
    mkdirSync(path.join(root, 'apps', app, 'src'), { recursive: true });
    writeFileSync(path.join(root, 'apps', app, 'src/main.ts'), '');
  }
  expect(chosenApps(root, null)).toHaveLength(4);
  expect(chosenApps(root, ['kafka-ingest'])).toEqual(['api-gateway', 'kafka-ingest', 'metrics-aggregator']);
  expect(() => chosenApps(root, ['postgres'])).toThrow('no "postgres"; there are kafka-ingest, postgres-cdc.');
});

import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { collectDefaultMetrics, register } from 'prom-client';

/** Something without which the app can't do its work. `check` rejects, or takes too long, when it is away. */
export interface Dependency {
  readonly name: string;
  check(): Promise<unknown>;
}

const WITHIN_MS = 1500;

async function state(dependency: Dependency): Promise<readonly [string, 'up' | 'down']> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error('late')), WITHIN_MS)));
  try {
    await Promise.race([dependency.check(), late]);
    return [dependency.name, 'up'];
  } catch {
    return [dependency.name, 'down'];
  } finally {
    clearTimeout(timer);
  }
}

/** `/health/live`: the process answers. `/health/ready`: so does what it depends on. `/metrics`: Prometheus. No key needed. */
export function mountHealth(app: NestFastifyApplication, name: string, dependencies: readonly Dependency[]): void {
  const http = app.getHttpAdapter().getInstance();
  // Once per process: tests start several apps in one.
  if (register.getSingleMetric('process_cpu_user_seconds_total') === undefined)
    collectDefaultMetrics({ labels: { app: name } });
  http.get('/health/live', (_request, reply) => reply.send({ status: 'up', app: name }));
  http.get('/health/ready', async (_request, reply) => {
    const states = Object.fromEntries(await Promise.all(dependencies.map(state)));
    const up = Object.values(states).every((one) => one === 'up');
    return reply.code(up ? 200 : 503).send({ status: up ? 'up' : 'down', app: name, dependencies: states });
  });
  http.get('/metrics', async (_request, reply) => reply.type(register.contentType).send(await register.metrics()));
}

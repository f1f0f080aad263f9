/** Loaded into each app by `npm run bench -- --profile`: SIGUSR2 begins a CPU profile, the next one ends and writes it. */
const { writeFileSync } = require('node:fs');
const { Session } = require('node:inspector');
const path = require('node:path');

if (/dist.[a-z-]+-(cdc|ingest).main\.cjs$/.test(process.argv[1] ?? '')) {
  const session = new Session();
  let running = false;
  process.on('SIGUSR2', () => {
    if (!running) {
      running = true;
      session.connect();
      session.post('Profiler.enable');
      session.post('Profiler.start');
      return;
    }
    running = false;
    session.post('Profiler.stop', (error, answer) => {
      session.disconnect();
      const file = path.join(process.env.PROFILE_DIR, `${process.pid}.cpuprofile`);
      writeFileSync(file, JSON.stringify(error ? { error: error.message } : answer.profile));
    });
  });
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Resolves at the first reason to end: a signal, our reader gone, or npm (which started us) gone. */
export function endAsked(underNpm: boolean): Promise<string> {
  return new Promise((resolve) => {
    // Stays installed: npm passes on a Ctrl-C that the terminal has sent us already.
    for (const signal of SIGNALS) process.on(signal, () => resolve(signal));
    process.stdout.on('error', () => resolve('EPIPE'));
    if (!underNpm) return;
    const parent = process.ppid;
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      resolve('parent gone');
    }, 500);
    timer.unref();
  });
}

import { run } from './boot.js';
import { EnvError } from './env.js';

describe('an app that can not start', () => {
  const told = async (main: () => Promise<unknown>): Promise<string> => {
    let text = '';
    const write = jest.spyOn(process.stderr, 'write').mockImplementation((chunk) => ((text += String(chunk)), true));
    try {
      await new Promise<void>((resolve) => {
        const exit = jest.spyOn(process, 'exit').mockImplementation((code) => {
          text += `exit ${code}`;
          exit.mockRestore();
          resolve();
          return undefined as never;
        });
        run(main);
      });
    } finally {
      write.mockRestore();
    }
    return text;
  };

  it('tells what is wrong with its environment, and nothing else, also when that is thrown at once', async () => {
    const wrong = () => {
      throw new EnvError(['PORT has to be a port number', 'REDIS_URL is needed: redis://host:port']);
    };
    const text =
      'The environment is not right:\n  PORT has to be a port number\n  REDIS_URL is needed: redis://host:port\nexit 78';
    expect(await told(wrong)).toBe(text);
    expect(await told(async () => wrong())).toBe(text);
  });

  it('tells where any other fault comes from, without the password in it (trap 35)', async () => {
    const text = await told(() => Promise.reject(new Error('no answer from postgres://me:s3cr3t-canary@db/x')));
    expect(text).toContain('run.spec');
    expect(text).toMatch(/exit 1$/);
    expect(text).not.toContain('s3cr3t-canary');
  });
});

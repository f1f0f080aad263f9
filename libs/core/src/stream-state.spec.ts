import { allowedCommands, STREAM_COMMANDS, STREAM_STATUSES, transition } from './stream-state.js';

/** The table of the contract, cell by cell: rows are states; `no` is 409, `=` is a no-op. */
const CONTRACT: Record<string, readonly string[]> = {
  //          start        stop        pause      resume
  created: ['starting', 'no', 'no', 'no'],
  starting: ['starting=', 'stopped', 'paused', 'no'],
  running: ['running=', 'stopped', 'paused', 'running='],
  paused: ['starting', 'stopped', 'paused=', 'running'],
  stopped: ['starting', 'stopped=', 'no', 'no'],
  error: ['starting', 'stopped', 'no', 'starting'],
};

describe('the transition table', () => {
  for (const status of STREAM_STATUSES) {
    STREAM_COMMANDS.forEach((command, column) => {
      it(`${status} × ${command}`, () => {
        const found = transition(status, command);
        const text = found === null ? 'no' : found.to + (found.noop ? '=' : '');
        expect(text).toBe(CONTRACT[status]![column]);
      });
    });
  }

  it('waits for confirmation exactly where a reader has to stop, pause or go on', () => {
    for (const status of STREAM_STATUSES)
      for (const command of STREAM_COMMANDS) {
        const found = transition(status, command);
        if (found && !found.noop) expect(found.confirm).toBe(found.to !== 'starting');
      }
  });

  it('names the commands that are allowed', () => {
    expect(allowedCommands('created')).toEqual(['start']);
    expect(allowedCommands('error')).toEqual(['start', 'stop', 'resume']);
  });
});

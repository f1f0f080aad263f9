import { bytes, type Figures, heldBack, millis, sparkline, whole } from './figures.js';

export interface Screen {
  show(figures: Figures): void;
  /** Leaves the terminal as it was; what is printed afterwards stands below. */
  close(): void;
}

/** What a user needs to look for himself. */
export interface Pointers {
  readonly url: string;
  readonly key: string;
  readonly streamId: string;
  /** A command that shows the log's last entries. */
  readonly lookAtLog: string;
}

const HISTORY = 60;
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const bold = (text: string) => `\x1b[1m${text}\x1b[0m`;
const dim = (text: string) => `\x1b[2m${text}\x1b[0m`;

export const openScreen = (out: NodeJS.WriteStream, pointers: Pointers): Screen =>
  out.isTTY ? liveScreen(out, pointers) : plainLines(out, pointers);

const howToLook = ({ url, key, streamId, lookAtLog }: Pointers): string[] => [
  `API    curl -s -H 'Authorization: Bearer ${key}' ${url}/api/streams/${streamId}/metrics`,
  `docs   ${url}/api/docs`,
  `log    ${lookAtLog}`,
];

function liveScreen(out: NodeJS.WriteStream, pointers: Pointers): Screen {
  const rates: number[] = [];
  const restore = () => void out.write(SHOW_CURSOR);
  process.once('exit', restore);
  out.write(`${HIDE_CURSOR}\x1b[2J`);
  return {
    show(now) {
      rates.push(now.eventsPerSecond);
      if (rates.length > HISTORY) rates.shift();
      const width = Math.max(40, out.columns ?? 100);
      const cell = (name: string, value: string) => `${dim(name)} ${bold(value)}`;
      const lines = [
        bold('Planasonix Streams: demo') + dim(`   ${now.seconds} s`),
        '',
        [
          cell('state', now.status),
          cell('events/s', whole(now.eventsPerSecond)),
          cell('lag', `${now.lagSeconds.toFixed(1)} s`),
          cell('commit to durable p50', millis(now.p50)),
          cell('p99', millis(now.p99)),
        ].join('   '),
        [
          cell('log', `${whole(now.logDepth)} entries`),
          cell('in all', bytes(now.totalBytes)),
          cell('source holds', heldBack(now.held)),
          cell('shop', `${whole(now.committed)} commits, ${whole(now.rolledBack)} rolled back`),
          ...(now.snapshotRows === null ? [] : [cell('snapshot', `${whole(now.snapshotRows)} rows`)]),
        ].join('   '),
        '',
        `events/s ${sparkline(rates)}`,
        '',
        bold('last events'),
        ...now.lastEvents.map((line) => `  ${line}`.slice(0, width - 1)),
        '',
        ...howToLook(pointers).map(dim),
        dim('Ctrl-C ends the demo and everything it started.'),
      ];
      out.write(HOME + lines.map((line) => line + CLEAR_LINE).join('\n') + CLEAR_BELOW);
    },
    close() {
      process.off('exit', restore);
      restore();
      out.write('\n\n');
    },
  };
}

function plainLines(out: NodeJS.WriteStream, pointers: Pointers): Screen {
  for (const line of howToLook(pointers)) out.write(`${line}\n`);
  return {
    show(now) {
      if (now.seconds % 2 === 1) return;
      const parts = [
        `${String(now.seconds).padStart(4)} s  ${now.status}`,
        `events/s ${whole(now.eventsPerSecond)}`,
        `lag ${now.lagSeconds.toFixed(1)} s`,
        `p50 ${millis(now.p50)}`,
        `p99 ${millis(now.p99)}`,
        `log ${whole(now.logDepth)}`,
        `source holds ${heldBack(now.held)}`,
      ];
      out.write(`${parts.join('   ')}\n`);
    },
    close: () => undefined,
  };
}

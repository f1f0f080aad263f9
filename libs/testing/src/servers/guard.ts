import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Ends what we started, however we end. A shell in a session of its own reads our list from a pipe; when the pipe
 * closes (exit, crash, SIGKILL of us or of our process group) it signals what is still on the list, waits, kills what
 * is left, and removes the folders.
 */
export const GUARD_SCRIPT = `
trap '' INT HUP
nl='
'
all=
# A zombie that nobody has fetched yet has ended too.
lives() {
  kill -s 0 -- "$1" 2>/dev/null || return 1
  ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}
while read -r verb item; do
  if [ "$verb" = keep ]; then
    all="$all$item$nl"
  else
    kept=
    IFS=$nl
    for one in $all; do [ "$one" = "$item" ] || kept="$kept$one$nl"; done
    unset IFS
    all=$kept
  fi
done
IFS=$nl
for one in $all; do
  case $one in dir*) ;; *) kill -s "\${one%% *}" -- "\${one#* }" 2>/dev/null ;; esac
done
tries=0
while [ $tries -lt 100 ]; do
  left=
  for one in $all; do
    case $one in dir*) ;; *) lives "\${one#* }" && left="$left\${one#* }$nl" ;; esac
  done
  [ -n "$left" ] || break
  tries=$((tries + 1))
  sleep 0.05
done
for pid in $left; do kill -s KILL -- "$pid" 2>/dev/null; done
for one in $all; do
  case $one in dir*) rm -rf "\${one#* }" ;; esac
done
`;

type EndSignal = 'TERM' | 'INT' | 'QUIT' | 'KILL';

let shell: ChildProcess | null = null;
let ending: ChildProcess | null = null;
let hooked = false;
const items = new Set<string>();

function keep(item: string): () => void {
  if (!shell) {
    shell = spawn('sh', ['-c', GUARD_SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], cwd: '/' });
    shell.stdin!.on('error', () => undefined);
    shell.on('error', () => undefined);
    shell.unref();
    // The pipe must not keep the process alive; a child's stdin is a socket, which can be told so.
    (shell.stdin as unknown as { unref(): void }).unref();
  }
  if (!hooked) {
    hooked = true;
    process.on('exit', endNow);
  }
  items.add(item);
  shell.stdin!.write(`keep ${item}\n`);
  return () => {
    if (!items.delete(item) || !shell) return;
    shell.stdin!.write(`drop ${item}\n`);
    if (items.size > 0) return;
    shell.stdin!.end();
    ending = shell;
    shell = null;
  };
}

/** Resolves when the shell has ended too. To be awaited before the process exits, once nothing is guarded any more. */
export async function guardEnded(): Promise<void> {
  const last = shell ?? ending;
  if (items.size > 0 || !last || last.exitCode !== null || last.signalCode !== null) return;
  last.ref();
  await new Promise<void>((resolve) => {
    last.once('exit', () => resolve());
    setTimeout(resolve, 1000).unref();
  });
}

/** The shell would do it too, a moment after us; whoever looks right after our exit finds nothing. */
function endNow(): void {
  for (const item of items) {
    const [signal, pid] = item.split(' ');
    if (signal === 'dir') continue;
    try {
      process.kill(Number(pid), `SIG${signal}` as NodeJS.Signals);
    } catch {
      // It has ended by itself.
    }
  }
}

/** Has `pid` signalled when this process ends (`-pid`: its whole group). Call the answer once the process is gone. */
export const guardProcess = (pid: number, signal: EndSignal = 'TERM'): (() => void) => keep(`${signal} ${pid}`);

/** Has a folder removed when this process ends, after the guarded processes. Call the answer to let go of it. */
export const guardFolder = (path: string): (() => void) => keep(`dir ${path}`);

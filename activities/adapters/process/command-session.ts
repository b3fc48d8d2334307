/**
 * Open shells that run short commands, so that the agent itself need not fork: decision D15. No
 * shell reads the words; they are an argument array there, too.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('command-session.bash', import.meta.url));
/** Sessions that stay open while no command needs them. */
const KEPT = 4;

interface Output {
  stdout: string;
  stderr: string;
}
/** A command that ran to its end. */
export type Finished = Output & { exitCode: number };

interface Session {
  /** Where its commands are looked for. */
  path: string | undefined;
  run(words: readonly string[]): Promise<Finished>;
  end(): void;
}

const idle = new Set<Session>();

/**
 * Runs a command in the C locale, without input.
 * @throws Error when the session ended before the command did: what it has done is then unknown
 */
export async function runInSession(words: readonly string[]): Promise<Finished> {
  if (words.some((word) => word.includes('\0'))) throw new TypeError('a word with a zero byte');
  const path = process.env['PATH'];
  const session = [...idle].find((candidate) => candidate.path === path) ?? open(path);
  idle.delete(session);
  const ended = await session.run(words);
  if (idle.size < KEPT && session.path === process.env['PATH']) idle.add(session);
  else session.end();
  return ended;
}

function open(path: string | undefined): Session {
  // Nothing that a command prints can be taken for its end.
  const token = randomUUID();
  const child = spawn('bash', [script, token], { env: { ...process.env, LC_ALL: 'C' } });
  const { stdin, stdout, stderr } = child;
  // Pipes are sockets in Node. A session without a command must not keep this process alive.
  const handles = [child, ...([stdin, stdout, stderr] as unknown as Socket[])];
  let output: Output = { stdout: '', stderr: '' };
  let settle: (ended: Finished | null) => void = () => undefined;
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      const ended = endOf(output, token);
      if (ended) settle(ended);
    });
  }
  const session: Session = {
    path,
    async run(words) {
      output = { stdout: '', stderr: '' };
      const end = new Promise<Finished | null>((resolve) => (settle = resolve));
      for (const handle of handles) handle.ref();
      stdin.write([words.length, ...words, ''].join('\0'));
      const ended = await end;
      for (const handle of handles) handle.unref();
      if (ended === null) throw new Error(`bash ended while it ran ${words[0]}`);
      return ended;
    },
    end: () => void stdin.end(),
  };
  stdin.on('error', () => undefined);
  child.once('error', () => settle(null));
  child.once('close', () => {
    idle.delete(session);
    settle(null);
  });
  return session;
}

/** Null while the command runs. */
function endOf({ stdout, stderr }: Output, token: string): Finished | null {
  const mark = `\0${token}`;
  if (!stderr.endsWith(`${mark}\0`) || !stdout.endsWith('\0')) return null;
  const at = stdout.lastIndexOf(mark);
  if (at < 0) return null;
  return {
    stdout: stdout.slice(0, at),
    stderr: stderr.slice(0, -mark.length - 1),
    exitCode: Number(stdout.slice(at + mark.length, -1)),
  };
}

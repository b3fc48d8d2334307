/**
 * Open shells that run short commands, so that the agent itself need not fork: decision D15. No
 * shell reads the words; they are an argument array there, too.
 */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { asking, silent } from './asking.ts';
import { confinement } from './confined.ts';
import { createProcessPool, type Output } from './process-pool.ts';

const script = fileURLToPath(new URL('command-session.bash', import.meta.url));
/** Nothing that a command prints can be taken for its end. */
const TOKEN = randomUUID();

/** A command that ran to its end. */
export type Finished = Output & { exitCode: number };

/** Some two hundred processes that begin at once keep the agent from its heartbeats. */
const AT_ONCE = 16;

interface Command {
  words: readonly string[];
  /** Of a question, which can be asked again; null: it has any time. */
  withinMs: number | null;
}

const createShells = (before: () => readonly string[]) =>
  createProcessPool<Command, Finished>(
    {
      command: () => [...before(), 'bash', script, TOKEN],
      write: ({ words }) => [words.length, ...words, ''].join('\0'),
      read: finishedIn,
      answerWithinMs: ({ withinMs }) => withinMs,
      failed: ({ words, withinMs }, why) =>
        why === 'silent'
          ? silent(words.join(' '), withinMs ?? 0)
          : new Error(`bash ended while it ran ${words[0]}`),
    },
    AT_ONCE,
  );
const shells = createShells(() => []);
/** Confined, with all that they run: that costs a command nothing. */
const readers = createShells(confinement);

interface InSession {
  /** After which it is killed; null: never. */
  withinMs: number | null;
  /** Whether it is confined. */
  onlyReads: boolean;
}

/**
 * Runs a command in the C locale, without input.
 * @throws Error when the shell ended before the command did: what it has done is then unknown;
 * Retry `storage-silent`
 */
export async function runInSession(
  words: readonly string[],
  { withinMs, onlyReads }: InSession,
): Promise<Finished> {
  if (words.some((word) => word.includes('\0'))) throw new TypeError('a word with a zero byte');
  return asking(words.join(' '), () => (onlyReads ? readers : shells).ask({ words, withinMs }));
}

/** Null while the command runs. */
function finishedIn({ stdout, stderr }: Output): Finished | null {
  const mark = `\0${TOKEN}`;
  if (!stderr.endsWith(`${mark}\0`) || !stdout.endsWith('\0')) return null;
  const at = stdout.lastIndexOf(mark);
  if (at < 0) return null;
  return {
    stdout: stdout.slice(0, at),
    stderr: stderr.slice(0, -mark.length - 1),
    exitCode: Number(stdout.slice(at + mark.length, -1)),
  };
}

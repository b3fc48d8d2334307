/** Runs one command of the outside world: an argument array in, text out, never a shell. */
import { execa, ExecaError } from 'execa';
import { asking } from './asking.ts';
import { runInSession } from './command-session.ts';
import { confinement } from './confined.ts';
import { childEnvironment } from './environment.ts';

/** What a tool has said on its error stream, without the word that begins each line of virsh. */
export const saidIn = (stderr: string) => stderr.replaceAll(/^error: /gm, '').trim();

/**
 * A command that did not exit 0. `stderr` is the tool's own words, cut to what an error can carry.
 */
export class CommandError extends Error {
  readonly command: string;
  readonly exitCode: number | undefined;
  readonly stderr: string;
  readonly stdout: string;

  constructor(command: string, words: { stderr: string; stdout: string; exitCode?: number }) {
    super(`\`${command}\` failed: ${words.stderr}`);
    this.name = 'CommandError';
    this.command = command;
    this.exitCode = words.exitCode;
    this.stderr = words.stderr;
    this.stdout = words.stdout;
  }

  /** A command of a session, whose output and errors are one text. */
  static of(command: string, text: string): CommandError {
    return new CommandError(command, { stderr: text.trim().slice(-2000), stdout: text });
  }

  static from(command: string, error: FailedCommand): CommandError {
    const { exitCode } = error;
    return new CommandError(command, {
      stderr:
        String(error.stderr ?? '')
          .trim()
          .slice(-2000) || error.shortMessage,
      stdout: String(error.stdout ?? ''),
      ...(exitCode === undefined ? {} : { exitCode }),
    });
  }
}

/** What is used of execa's error; to compare the whole of its type takes tsc seconds. */
type FailedCommand = Pick<ExecaError, 'stderr' | 'stdout' | 'shortMessage'> & {
  exitCode?: number | undefined;
};

export interface RunOptions {
  /** Of a question, which may be asked again: how long it has for its answer. */
  withinMs?: number;
  signal?: AbortSignal | undefined;
  /** Of a tool that reads images: it is run without the agent's rights where it can do without. */
  onlyReads?: boolean;
  /** More variables. */
  env?: Record<string, string>;
  /** Told each piece of its output as it comes. */
  onOutput?: (text: string) => void;
}

/** Of a command that was killed a shell says 128 and the signal's number. */
const KILLED = 128;

/**
 * Runs `file` with `args` in the C locale and returns its standard output.
 * @throws CommandError on a non-zero exit; the abort reason when `signal` was aborted; Retry
 * `storage-silent` without an answer in time.
 */
export async function run(
  file: string,
  args: readonly string[],
  { withinMs, onlyReads = false, ...options }: RunOptions = {},
): Promise<string> {
  if (Object.values(options).some((value) => value !== undefined)) {
    const before = onlyReads ? confinement() : [];
    return asking([file, ...args].join(' '), () => runAsChild([file, ...args], before, options));
  }
  const session = { withinMs: withinMs ?? null, onlyReads };
  const { exitCode, stdout, stderr } = await runInSession([file, ...args], session);
  if (exitCode === 0) return stdout;
  const code = exitCode > KILLED ? {} : { exitCode };
  const shortMessage = `it exited ${exitCode}`;
  throw CommandError.from([file, ...args].join(' '), { stdout, stderr, shortMessage, ...code });
}

/** What a session cannot do: other variables, an end when `signal` says so, output as it comes. */
async function runAsChild(
  words: readonly string[],
  before: readonly string[],
  options: Omit<RunOptions, 'withinMs' | 'onlyReads'>,
): Promise<string> {
  try {
    const [file = '', ...args] = [...before, ...words];
    const child = execa(file, args, {
      env: childEnvironment({ LC_ALL: 'C', ...options.env }),
      extendEnv: false,
      stripFinalNewline: false,
      ...(options.signal ? { cancelSignal: options.signal, forceKillAfterDelay: 2000 } : {}),
      stdin: 'ignore',
    });
    const { onOutput } = options;
    if (onOutput) child.stdout.on('data', (piece) => onOutput(String(piece)));
    return (await child).stdout;
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (!(error instanceof ExecaError)) throw error;
    throw CommandError.from(words.join(' '), error);
  }
}

/** A tool that was killed has said nothing, and is asked again. */
export const isToolFailure = (error: unknown): error is CommandError =>
  error instanceof CommandError && error.exitCode !== undefined;

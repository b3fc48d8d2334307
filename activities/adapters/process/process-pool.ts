/**
 * Processes that stay open and answer one question after the other, each for one asker at a time.
 * Where an answer ends in what a process prints is its framing, which the adapter of a tool gives.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { childEnvironment } from './environment.ts';
import { createQuestionQueue, type QuestionQueue } from './question-queue.ts';

/** Processes that stay open while no question needs them. */
const KEPT = 4;

/** What a process has printed since it was asked. */
export interface Output {
  stdout: string;
  stderr: string;
}
const NOTHING: Output = { stdout: '', stderr: '' };

/** How one kind of process is started, asked and understood. */
export interface Framing<Question, Answer> {
  /** How it is started, asked each time. */
  command: () => readonly string[];
  /** More variables than those of this process and the C locale. */
  env?: Record<string, string>;
  /** What the process reads. */
  write(question: Question): string;
  /**
   * The answer, null while it is not complete.
   * @throws what the asker gets when the process can give no answer any more, which is then killed
   */
  read(output: Output, question: Question): Answer | null;
  /** What the asker gets of a process that ended first, or gave no answer in time. */
  failed(question: Question, why: 'ended' | 'silent'): Error;
  /** Null: any time. What waits for its turn longer than that is silent, too. */
  answerWithinMs(question: Question): number | null;
  /**
   * Questions of one subject wait while one of them is slow, so that what hangs is not asked with
   * every process there is; null: none waits for it.
   */
  subject?(question: Question): string | null;
  /** True when what it prints between two questions says that it can answer no more. */
  isLost?(output: Output): boolean;
}

export interface ProcessPool<Question, Answer> {
  /** @throws what the framing says */
  ask(question: Question): Promise<Answer>;
  /** Kills all of its processes. */
  close(): void;
}

interface Open<Question, Answer> {
  /** Where its commands are looked for. */
  path: string | undefined;
  ask(question: Question): Promise<Answer>;
  kill(): void;
}

/**
 * Opens processes as questions need them, at most so many; what is asked beyond that waits. Those
 * that are slow to answer do not count.
 */
export function createProcessPool<Question, Answer>(
  framing: Framing<Question, Answer>,
  atOnce = Infinity,
): ProcessPool<Question, Answer> {
  const all = new Set<Open<Question, Answer>>();
  const idle = new Set<Open<Question, Answer>>();
  const asking = (): number => all.size - queue.slow();
  const queue: QuestionQueue<Open<Question, Answer>> = createQuestionQueue(
    () => atOnce - asking() + idle.size,
  );
  const forget = (process: Open<Question, Answer>) => {
    all.delete(process);
    idle.delete(process);
    queue.forget(process);
  };

  const takeIdle = () => {
    for (const found of idle) {
      idle.delete(found);
      if (found.path === process.env['PATH']) return found;
      found.kill();
    }
    if (asking() >= atOnce) return null;
    const opened = open(framing, forget);
    all.add(opened);
    return opened;
  };
  const take = async (question: Question, subject: string | null) => {
    const { promise: silence, reject } = Promise.withResolvers<never>();
    const fail = () => reject(framing.failed(question, 'silent'));
    const answerWithinMs = framing.answerWithinMs(question);
    const timer = answerWithinMs === null ? undefined : setTimeout(fail, answerWithinMs);
    return queue.take(subject, takeIdle, silence).finally(() => clearTimeout(timer));
  };

  const giveBack = (taken: Open<Question, Answer>) => {
    // One that was lost right after its answer is not there any more.
    if (all.has(taken) && (queue.waiting() > 0 || idle.size < KEPT)) idle.add(taken);
    else taken.kill();
  };

  return {
    async ask(question) {
      const subject = framing.subject?.(question) ?? null;
      const taken = await take(question, subject);
      const end = queue.begin(taken, subject);
      try {
        return await taken.ask(question);
      } finally {
        giveBack(taken);
        end();
      }
    },
    close() {
      for (const process of all) process.kill();
    },
  };
}

/** @param forget told once it takes no more questions: at its end, or when it is killed */
function open<Question, Answer>(
  framing: Framing<Question, Answer>,
  forget: (process: Open<Question, Answer>) => void,
): Open<Question, Answer> {
  const [file = '', ...args] = framing.command();
  // In a group of its own, with what it runs: all of that is killed with it.
  const child = spawn(file, args, {
    env: childEnvironment({ LC_ALL: 'C', ...framing.env }),
    detached: true,
  });
  let output = NOTHING;
  let asked: Asked<Answer> | null = null;
  const ended = () => {
    forget(opened);
    asked?.fail('ended');
  };
  child.once('error', ended).once('close', ended);
  child.stdin.on('error', () => undefined);
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output = { ...output, [name]: output[name] + text };
      if (asked) asked.hear(output);
      else if (framing.isLost?.(output)) opened.kill();
    });
  }
  // Pipes are sockets in Node. A process without a question must not keep this one alive.
  const pipes = [child.stdin, child.stdout, child.stderr] as unknown as Socket[];
  // virsh's stderr is its stdout, so that one of them ends at once.
  const handles = () => [child, ...pipes.filter(({ destroyed }) => !destroyed)];
  const opened: Open<Question, Answer> = {
    path: process.env['PATH'],
    ask(question) {
      output = NOTHING;
      for (const handle of handles()) handle.ref();
      asked = createAsked(framing, question, (isLost) => {
        asked = null;
        output = NOTHING;
        for (const handle of handles()) handle.unref();
        if (isLost) opened.kill();
      });
      child.stdin.write(framing.write(question));
      return asked.answer;
    },
    // At once: the next question must not get the process that has just failed.
    kill() {
      forget(opened);
      killGroup(child);
    },
  };
  return opened;
}

/** Of a process that is there: another one may have its number later. */
function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

interface Asked<Answer> {
  answer: Promise<Answer>;
  hear(output: Output): void;
  fail(why: 'ended' | 'silent'): void;
}

/** @param settled called with the end of the question, before the asker is told */
function createAsked<Question, Answer>(
  framing: Framing<Question, Answer>,
  question: Question,
  settled: (isLost: boolean) => void,
): Asked<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const end = (isLost: boolean) => {
    clearTimeout(timer);
    settled(isLost);
  };
  const refuse = (error: Error) => {
    end(true);
    reject(error);
  };
  const fail = (why: 'ended' | 'silent') => refuse(framing.failed(question, why));
  const answerWithinMs = framing.answerWithinMs(question);
  const timer = answerWithinMs === null ? undefined : setTimeout(fail, answerWithinMs, 'silent');
  return {
    answer: promise,
    hear(output) {
      try {
        const answer = framing.read(output, question);
        if (answer === null) return;
        end(false);
        resolve(answer);
      } catch (error) {
        refuse(error as Error);
      }
    },
    fail,
  };
}

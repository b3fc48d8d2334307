/**
 * What an attempt of an activity asks of tools, of libvirt and of file systems, and has not been
 * answered: so that a hang is seen, told, and given up.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { failureDetails, retry } from '../../../workflows/operation/failures.ts';

export interface Question {
  what: string;
  sinceMs: number;
}
/** Those without an answer, the oldest first. */
export type Questions = ReadonlySet<Question>;

const attempts = new AsyncLocalStorage<Set<Question>>();

/** Runs an attempt. @param work is given what it asks, which changes all the time */
export function withQuestions<T>(work: (questions: Questions) => T): T {
  const questions = new Set<Question>();
  return attempts.run(questions, work, questions);
}

/** Asks within the attempt that is running; outside of one, as it is. */
export async function asking<T>(what: string, ask: () => Promise<T>): Promise<T> {
  const questions = attempts.getStore();
  if (!questions) return ask();
  const question = { what, sinceMs: Date.now() };
  questions.add(question);
  try {
    return await ask();
  } finally {
    questions.delete(question);
  }
}

/** Nothing was concluded, and the activity asks again. */
export const silent = (what: string, withinMs: number) =>
  retry('storage-silent', {
    attempted: what,
    now: `it has not answered within ${withinMs / 1000} s`,
    next: 'blockflow asks again until it does; look at the storage, and at the kernel log',
  });

/**
 * For a `catch` where an error is an answer: silence is none.
 * @throws Retry `storage-silent`
 */
export const unlessSilent =
  <T>(otherwise: T) =>
  (error: unknown): T => {
    if (failureDetails(error)?.details.code === 'storage-silent') throw error;
    return otherwise;
  };

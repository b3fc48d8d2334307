/**
 * One attempt of an activity: it beats while it works, tells what it waits for, and is given up
 * when it is cancelled while a tool or a file system does not answer.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import { withQuestions, type Question, type Questions } from '../adapters/process/asking.ts';
import type { Declaration } from '../../workflows/operation/activities.ts';
import { createProgress } from './progress.ts';

const BEAT_EVERY_MS = 1000;
/** A question without an answer for so long hangs: a cancel does not wait for it. */
const HANGS_AFTER_MS = 3000;
/** After so long people are told what is being asked. */
const TOLD_AFTER_MS = 10_000;

/** What an activity beats with from now on. */
export type Show = (details: object) => void;

interface Attempt {
  shown: object | null;
  /** Effects that have begun, and are not over. */
  effects: number;
  /** Its end is not waited for any more: what it still does must have no effect. */
  isGivenUp: boolean;
}
const attempts = new AsyncLocalStorage<Attempt>();

/**
 * An activity as one attempt. It beats every second, so that the death of its agent is noticed in
 * seconds, not at its end; one that beats by itself only while something hangs.
 */
export function attempt<I, O>(
  activity: (input: I, show: Show) => Promise<O>,
  beats: Declaration['beats'],
): (input: I) => Promise<O> {
  if (beats === 'never') return (input) => activity(input, () => undefined);
  return (input) => {
    const own: Attempt = { shown: null, effects: 0, isGivenUp: false };
    const begin = (questions: Questions) => watched(activity, input, { own, questions, beats });
    return attempts.run(own, withQuestions, begin);
  };
}

interface Watch {
  own: Attempt;
  questions: Questions;
  beats: Declaration['beats'];
}

async function watched<I, O>(
  activity: (input: I, show: Show) => Promise<O>,
  input: I,
  { own, questions, beats }: Watch,
): Promise<O> {
  const context = Context.current();
  const { promise: end, reject: giveUp } = Promise.withResolvers<never>();
  let cancel: unknown = null;
  context.cancelled.catch((reason: unknown) => (cancel = reason));
  const beat = () => {
    const hangs = oldestFor(questions, HANGS_AFTER_MS);
    // An effect that has begun is waited for: it may still happen.
    if (cancel && hangs && own.effects === 0) {
      own.isGivenUp = true;
      giveUp(cancel);
    } else if (hangs || beats === 'while working') {
      context.heartbeat({ ...(own.shown ?? { phase: 'working' }), ...askingOf(questions) });
    }
  };
  const timer = setInterval(beat, BEAT_EVERY_MS);
  const work = activity(input, (details) => {
    const isFirst = own.shown === null;
    own.shown = details;
    // Who asks in the first second is told, too.
    if (isFirst) beat();
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, end]);
  } finally {
    clearInterval(timer);
  }
}

/** Of an activity that beats by itself. */
export function beatWith(details: object): void {
  const own = attempts.getStore();
  if (own) own.shown = details;
  Context.current().heartbeat(details);
}

const oldestFor = ([oldest]: Questions, ms: number): Question | null =>
  oldest && Date.now() - oldest.sinceMs >= ms ? oldest : null;

/** What the client shows of a beat. */
function askingOf(questions: Questions): { asking?: Question } {
  const asking = oldestFor(questions, TOLD_AFTER_MS);
  return asking ? { asking: { ...asking } } : {};
}

/**
 * Begins an effect in the same turn as it sees that the attempt is still wanted.
 * @throws CancelledFailure when it is not
 */
export async function asEffect<T>(begin: () => Promise<T>): Promise<T> {
  const own = attempts.getStore();
  if (!own) return begin();
  if (own.isGivenUp) throw new CancelledFailure('this attempt was given up before its effect');
  own.effects += 1;
  try {
    return await begin();
  } finally {
    own.effects -= 1;
  }
}

/** Shows percentage, rate and estimate of something that tells how many of its bytes are done. */
export function showProgress(
  show: Show,
  { phase, totalBytes }: { phase: string; totalBytes: number },
): (doneBytes: number) => void {
  const progress = createProgress(phase);
  return (copiedBytes) => show(progress.add({ atMs: Date.now(), copiedBytes, totalBytes }));
}

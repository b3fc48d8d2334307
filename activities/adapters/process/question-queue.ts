/**
 * Who may ask next, where so many may ask at once. Who has got no answer for a while is set aside:
 * another one may ask in its place, unless it would ask about the same.
 */

/** What has not answered for so long is slow. */
const SLOW_MS = 1000;

interface Waiting {
  subject: string | null;
  go(): void;
}

export interface QuestionQueue<P> {
  /** How many of those that ask are slow. */
  slow(): number;
  /** How many wait. */
  waiting(): number;
  /**
   * Waits until `pick` may be tried and finds one.
   * @param subject what it is about; null: nothing that another question could wait for
   */
  take(subject: string | null, pick: () => P | null, silence: Promise<never>): Promise<P>;
  /** @returns what is called when it has its answer, or will never have one */
  begin(asked: P, subject: string | null): () => void;
  forget(asked: P): void;
}

/** @param free how many more may ask now */
export function createQuestionQueue<P>(free: () => number): QuestionQueue<P> {
  const waiting = new Set<Waiting>();
  /** By their subject. */
  const slow = new Map<P, string | null>();
  const isHeldUp = (subject: string | null) =>
    subject !== null && [...slow.values()].includes(subject);
  const wake = () => {
    let count = free();
    for (const one of waiting) {
      if (count <= 0) return;
      if (isHeldUp(one.subject)) continue;
      waiting.delete(one);
      one.go();
      count -= 1;
    }
  };
  return {
    slow: () => slow.size,
    waiting: () => waiting.size,
    async take(subject, pick, silence) {
      for (;;) {
        const taken = isHeldUp(subject) ? null : pick();
        if (taken !== null) return taken;
        const { promise, resolve } = Promise.withResolvers<void>();
        const turn = { subject, go: resolve };
        waiting.add(turn);
        await Promise.race([promise, silence]).finally(() => waiting.delete(turn));
      }
    },
    begin(asked, subject) {
      const setAside = () => {
        slow.set(asked, subject);
        wake();
      };
      const timer = setTimeout(setAside, SLOW_MS);
      return () => {
        clearTimeout(timer);
        slow.delete(asked);
        wake();
      };
    },
    forget: (asked) => void slow.delete(asked),
  };
}

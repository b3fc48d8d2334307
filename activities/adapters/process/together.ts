/**
 * Work that many want at the same time, and that tells or does the same for all of them: one run
 * at a time, and the next one is for all who have asked since it began.
 */
interface Running<T> {
  now: Promise<T>;
  next: Promise<T> | null;
}

/** @returns the outcome of a run that begins after the question, never of one that goes on */
export function createTogether<T>(work: (key: string) => Promise<T>) {
  const running = new Map<string, Running<T>>();

  function begin(key: string): Promise<T> {
    const run: Running<T> = { now: work(key), next: null };
    running.set(key, run);
    const end = () => {
      if (running.get(key) === run) running.delete(key);
    };
    run.now.then(end, end);
    return run.now;
  }

  return (key: string): Promise<T> => {
    const run = running.get(key);
    if (!run) return begin(key);
    const again = () => begin(key);
    run.next ??= run.now.then(again, again);
    return run.next;
  };
}

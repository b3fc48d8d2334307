/** What the tests of a file use, opened and closed by hooks of its own. */
import { afterAll, afterEach, beforeAll } from '@jest/globals';

interface Closable {
  close(): unknown;
}

/** What is open, in the order in which it was opened. */
const open: Closable[] = [];

/**
 * Opens it before the tests of the file, and closes it after them: what was opened last is closed
 * first. A use of it when it could not be opened says so, and the reason is the error before.
 * @param restore called after each test
 */
export function use<T extends Closable>(
  name: string,
  start: () => Promise<T>,
  restore: (started: T) => unknown = () => undefined,
): T {
  let started: T | undefined;
  beforeAll(async () => {
    started = await start();
    open.push(started);
  });
  afterEach(async () => {
    if (started) await restore(started);
  });
  // One hook for each of them, so that a failure to close one keeps no other from being closed.
  afterAll(async () => void (await open.pop()?.close()));
  return new Proxy({} as T, {
    get(_, key) {
      if (!started) throw new Error(`${name} is not open`);
      const found: unknown = Reflect.get(started, key);
      return typeof found === 'function' ? (found.bind(started) as unknown) : found;
    },
  });
}

/** @returns what keeps something that a test starts, and closes it after that test */
export function useEach(): <T extends Closable>(starting: Promise<T>) => Promise<T> {
  const inTest: Closable[] = [];
  afterEach(async () => {
    for (const started of inTest.splice(0).reverse()) await started.close();
  });
  return async (starting) => {
    const started = await starting;
    inTest.push(started);
    return started;
  };
}

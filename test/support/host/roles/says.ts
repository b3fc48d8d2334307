/** What programs that were typed must have said. */
import { expect } from '@jest/globals';
import type { Answer } from './command-line.ts';

/** The program has exited with this code. All is compared, so that a failure shows what it said. */
export function exitsWith(
  end: { exitCode?: number | undefined; all?: string },
  exitCode: number,
): void {
  expect(end).toEqual({ ...end, exitCode });
}

/**
 * The program exits with this code and says all of this: on standard output when it succeeds, else
 * on standard error; on the other one it says nothing. Returns all that it said.
 */
export async function says(
  answer: Promise<Answer>,
  exitCode: number,
  ...words: (string | RegExp)[]
): Promise<string> {
  const end = await answer;
  exitsWith(end, exitCode);
  const { printed, told } = end;
  const [text, silent] = exitCode === 0 ? [printed, told] : [told, printed];
  for (const word of words) expect(text).toMatch(word);
  expect(silent).toBe('');
  return text;
}

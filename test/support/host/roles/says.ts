/** What programs that were typed must have said. */
import { expect } from '@jest/globals';
import type { Answer } from './command-line.ts';

/**
 * The program exits with this code and says all of this: on standard output when it succeeds, else
 * on standard error; on the other one it says nothing. Returns all that it said.
 */
export async function says(
  answer: Promise<Answer>,
  exitCode: number,
  ...words: (string | RegExp)[]
): Promise<string> {
  const { printed, told, ...end } = await answer;
  // All of it is compared, so that a failure shows what was said.
  expect({ ...end, printed, told }).toEqual({ ...end, exitCode, printed, told });
  const [text, silent] = exitCode === 0 ? [printed, told] : [told, printed];
  for (const word of words) expect(text).toMatch(word);
  expect(silent).toBe('');
  return text;
}

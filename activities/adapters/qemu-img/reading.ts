import { isReadByRight } from '../files/rights.ts';
import { unlessSilent } from '../process/asking.ts';
import type { RunOptions } from '../process/command.ts';

/**
 * How a tool is run that only reads these images. Whether it is confined is never its own word: an
 * image whose data has taken it over could say what it likes.
 */
export const reading = async (
  paths: readonly string[],
  options: RunOptions = {},
): Promise<RunOptions> => ({
  ...options,
  // What is wrong with a path the tool tells.
  onlyReads: await isReadByRight(paths).catch(unlessSilent(true)),
});

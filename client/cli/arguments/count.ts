import { usage } from '../../library/failure.ts';

/** A count from 1 to 1000 of a command line. @throws BlockflowError Usage */
export function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 1000) return count;
  throw usage(`reading the count ${JSON.stringify(text)}`, 'it is not a number', 'Give 1 to 1000');
}

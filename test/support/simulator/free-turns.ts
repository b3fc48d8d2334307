import { createTurns } from '../../../activities/door/turns.ts';

/** Turns without a limit, for activities that are called by themselves. */
export const freeTurns = () =>
  createTurns({
    limits: () => Promise.resolve(() => 0),
    found: () => Promise.resolve([]),
    runs: () => Promise.resolve(false),
  });

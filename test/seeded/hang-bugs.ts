/** Bugs by which one that hangs would delay others, or act when it is not wanted any more. */
import type { SeededBug } from './bugs.ts';

export const hangBugs: readonly SeededBug[] = [
  {
    name: 'a session that is slow takes the place of others',
    file: 'activities/adapters/process/question-queue.ts',
    from: 'slow.set(asked, subject);',
    to: '',
    caughtBy: 'test/activities/adapters/process-pool.test.ts',
  },
  {
    name: 'a pool takes as many threads as it wants',
    file: 'activities/adapters/files/lanes.ts',
    from: 'if (lane.running < mostIn(name))',
    to: 'if (lane.running < 1000)',
    caughtBy: 'test/activities/door/hanging.test.ts',
  },
  {
    name: 'what was given up goes on with its effects',
    file: 'activities/door/attempt.ts',
    from: 'own.isGivenUp = true;',
    to: '',
    caughtBy: 'test/activities/door/hanging.test.ts',
  },
  {
    name: 'an effect is given up in the middle',
    file: 'activities/door/attempt.ts',
    from: 'own.effects += 1;',
    to: 'own.effects += 0;',
    caughtBy: 'test/activities/door/hanging.test.ts',
  },
  {
    name: 'files of other file systems are asked, of which one may hang',
    file: 'activities/adapters/files/open-files.ts',
    from: 'if (wanted && isElsewhere(wanted, pid, fd)) return null;',
    to: '',
    caughtBy: 'test/real/pools/hung-pool.test.ts',
    only: 'Nothing that is deleted elsewhere',
  },
];

/** Bugs that would let an agent act on more than its own eyes allow. */
import type { SeededBug } from './bugs.ts';

export const trustBugs: readonly SeededBug[] = [
  {
    name: 'a host agent acts on whatever path it is given',
    file: 'activities/host/pools/boundary.ts',
    from: 'else if (await observeFile(dirname(path))) throw',
    to: 'else if (path === "") throw',
    caughtBy: 'test/input/host-boundary.test.ts',
  },
  {
    name: "the folder of a job may be another user's",
    file: 'activities/adapters/files/owned-folder.ts',
    from: 'if (uid !== 0 && uid !==',
    to: 'if (uid < 0 && uid !==',
    caughtBy: 'test/input/host-boundary.test.ts',
  },
  {
    name: 'the SPM agent believes that nothing stands on what it deletes',
    file: 'activities/storage/volumes/holders.ts',
    from: 'if (!use) return null',
    to: 'if (!use || files) return null',
    caughtBy: 'test/activities/volumes/holders.test.ts',
  },
];

/** Deliberate bugs of the workflows of snapshots, which named runs of their model notice. */
import type { SeededBug } from './bugs.ts';

const caughtBy = 'test/model/snapshots/snapshot-model-found.test.ts';

export const snapshotModelBugs: readonly SeededBug[] = [
  {
    name: 'the overlays of a snapshot that was taken are deleted with its note',
    file: 'workflows/snapshot/create/overlays.ts',
    from: "await removeReservations(op, taking, 'keep');",
    to: "await removeReservations(op, taking, 'delete');",
    caughtBy,
    only: 'is completed by the next one',
  },
  {
    name: 'a snapshot that an earlier run has taken counts as not taken',
    file: 'workflows/snapshot/create/planning.ts',
    from: "if (settled.outcome === 'taken') await",
    to: 'if (taking.jobId === op.jobId) await',
    caughtBy,
    only: 'is completed by the next one',
  },
  {
    name: 'a revert gives a new overlay to the first disk only',
    file: 'workflows/snapshot/revert/change.ts',
    from: 'const switched = disks.flatMap(',
    to: 'const switched = disks.slice(0, 1).flatMap(',
    caughtBy,
    only: 'is completed, not made again',
  },
  {
    name: 'an undo that is cancelled leaves the layers under their names',
    file: 'workflows/snapshot/revert/layers.ts',
    from: 'for (const to of op.restored) await retireIn(op, to, note);',
    to: '',
    caughtBy,
    only: 'an undo that is cancelled',
  },
  {
    name: 'a deletion does not see a merge whose record is gone',
    file: 'workflows/snapshot/delete/planning.ts',
    from: 'if (isListed(part)) continue;',
    to: 'if (!isListed(part)) continue;',
    caughtBy,
    only: 'after its record had gone',
  },
];

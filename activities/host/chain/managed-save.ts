/**
 * A guest that `virsh managedsave` put to sleep. Its next start restores the XML inside the save
 * file, whatever the record says by then, and a memory that knows the disk as it was: so it must
 * find the same names with the same data.
 */
import { refused } from '../../../workflows/operation/failures.ts';
import { shell } from '../../../workflows/operation/names.ts';

/** Why nothing under a saved guest may change, to be told with what was attempted. */
export const refusedManagedSave = (attempted: string, vm: string) =>
  refused('managed-save', {
    attempted,
    now:
      `the state of VM ${vm} is saved (\`virsh managedsave\`), and its next start goes on with ` +
      'the disk by the names that it had then; the chain is unchanged',
    next:
      'Start it and shut it down, or drop the saved state with ' +
      `${shell`virsh managedsave-remove ${vm}`}, and try again`,
  });

/** For who sees it only after the plan: planned again, the operation is refused. */
export const wasSaved = (vm: string) => `the state of VM ${vm} is saved (\`virsh managedsave\`)`;

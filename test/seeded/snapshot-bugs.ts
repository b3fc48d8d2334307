/** Deliberate bugs of snapshots of whole VMs. */
import type { SeededBug } from './bugs.ts';

export const snapshotBugs: readonly SeededBug[] = [
  {
    name: 'a snapshot is taken of a guest that runs',
    file: 'activities/adapters/virsh/safe-snapshot.bash',
    from: 'if [[ $guest == running ]] && ask "suspend $uuid" && is_refused; then',
    to: 'if false; then',
    caughtBy: 'test/real/snapshot/windows.test.ts',
    only: 'QEMU dies next',
  },
  {
    name: 'a snapshot that only QEMU knows of counts as not taken',
    file: 'activities/host/snapshot/look.ts',
    from: "if (all('written', 'overlay')) return 'unseen';",
    to: "if (all('written', 'overlay')) return 'not-taken';",
    caughtBy: 'test/real/snapshot/windows.test.ts',
    only: 'when libvirtd comes back; it died after the transaction',
  },
  {
    name: 'the file systems of a guest stay frozen after its snapshot',
    file: 'activities/adapters/virsh/safe-snapshot.bash',
    from: 'say domfsthaw "$uuid"',
    to: 'reply=',
    caughtBy: 'test/real/snapshot/quiesce.test.ts',
    only: 'frozen for the switch, and thawed',
  },
];

/** Deliberate bugs in moves of running VMs. */
import type { SeededBug } from './bugs.ts';

const windows = 'test/real/transfer/live/live-windows.test.ts';
const flows = 'test/real/transfer/live/live-flows.test.ts';

export const liveMoveBugs: readonly SeededBug[] = [
  {
    name: 'the guest of a copy that libvirtd has forgotten runs on',
    file: 'activities/host/pivot/limbo.ts',
    from: "if (!copy || look.state === 'off' || !hidesCopy(look, copy)) return false;",
    to: 'if (look === look) return false;',
    caughtBy: windows,
    only: 'is completed when the agent died, too, before it noted that the job ended',
  },
  {
    name: 'the script lets the guest of a forgotten copy run on',
    file: 'activities/adapters/virsh/safe-pivot.bash',
    from: 'if any_disk is_in_limbo || any_disk is_unseen; then leave',
    to: 'if any_disk is_in_limbo; then leave',
    caughtBy: windows,
    only: 'is completed when libvirtd died before it noted that the job ended',
  },
  {
    name: 'a mirror that can never be pivoted is pivoted again and again',
    file: 'activities/host/transfer/live/ensure-mirrors-switched.ts',
    from: 'const NEVER = /Duplicate nodes/;',
    to: 'const NEVER = /^Duplicate nodes$/;',
    caughtBy: windows,
    only: 'is completed when libvirtd died while it attached the lower layers',
  },
  {
    name: "a user's copy is no reason to refuse",
    file: 'activities/host/transfer/planning/running.ts',
    from: 'if (isEnding(xmlDisk)) return null;',
    to: 'if (isEnding(xmlDisk) || job) return null;',
    caughtBy: 'test/real/transfer/live/live-refusals.test.ts',
    only: 'foreign-job',
  },
  {
    name: 'the copies of a cancelled move are deleted under its mirror',
    file: 'workflows/transfer/unwanted-copies.ts',
    from: 'if (op.mirroring?.jobId === jobId) await endMirror(op, op.mirroring);',
    to: '',
    caughtBy: flows,
    only: 'leaves the source when it is cancelled',
  },
];

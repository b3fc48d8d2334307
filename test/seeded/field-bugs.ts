/** Deliberate bugs about VMs, disks and hosts as other people have them. */
import type { SeededBug } from './bugs.ts';

export const fieldBugs: readonly SeededBug[] = [
  {
    name: 'a VM is down when libvirt says so',
    file: 'activities/host/chain/lost-vm.ts',
    from: "if (first.state !== 'off' || (await findQemu(uuid)) === null)",
    to: 'if (first === first)',
    caughtBy: 'test/real/merge/pivot-windows.test.ts',
    only: 'is a Hold, also for the next request',
  },
  {
    name: 'a guest in limbo runs on',
    file: 'activities/host/merge/limbo.ts',
    from: 'if (!isEnding(look.disk)) return false;',
    to: 'if (look === look) return false;',
    caughtBy: 'test/real/merge/pivot-windows.test.ts',
    only: 'QEMU dies later, and libvirtd died before it notes that the job is dismissed',
  },
  {
    name: 'a folder without its file system is a new pool',
    file: 'activities/pool-folder/known-pools.ts',
    from: 'if (!before || before.id === id) return null;',
    to: 'if (before === before) return null;',
    caughtBy: 'test/real/field/unmounted-pool.test.ts',
    only: 'gets no id and no lease',
  },
  {
    name: 'clones below the folder of a pool are not looked for',
    file: 'activities/adapters/files/walk.ts',
    from: 'else if (!entry.name.equals(without)) folders.push(inside(path, entry.name));',
    to: '',
    caughtBy: 'test/real/field/users.test.ts',
    only: 'a clone in a subfolder',
  },
  {
    name: 'a moved image is where QEMU cannot go',
    file: 'activities/host/pools/open-to-qemu.ts',
    from: 'if (enters) return',
    to: 'if (enters || enters === false) return',
    caughtBy: 'test/real/field/closed-pool.test.ts',
    only: 'a closed folder above it',
  },
  {
    name: 'what QEMU opens for reading only becomes an active layer',
    file: 'activities/adapters/qemu-img/qemu-img.ts',
    from: 'isCorrupt: data?.corrupt ?? false',
    to: 'isCorrupt: false',
    caughtBy: 'test/real/field/corrupt-bit.test.ts',
  },
  {
    name: 'the dirty bitmaps of committed volumes go with them',
    file: 'activities/host/merge/ensure-cold-committed.ts',
    from: 'await carryBitmaps(plan.base, plan.committed);',
    to: '',
    caughtBy: 'test/real/field/checkpoints.test.ts',
    only: 'over a merge of all',
  },
  {
    name: 'a copy has the mode of its source, and not its ACL',
    file: 'activities/adapters/files/complete-copy.ts',
    from: 'await copyRights(source, target);',
    to: 'await file.chmod(0o660);',
    caughtBy: 'test/real/field/attributes.test.ts',
    only: 'follow a move and a copy',
  },
];

import { diskTarget, vmName, shell } from '../../../workflows/operation/names.ts';
import { usage } from '../../library/failure.ts';

/** What `VM DISK` or `VM/DISK` on a command line names. */
export interface DiskArgument {
  vm: string;
  disk: string;
}

/** @throws BlockflowError Usage */
export function parseDisk(first: string, second?: string): DiskArgument {
  const { vm, disk } = parseVmOrDisk(first, second);
  if (disk === undefined) {
    throw wrong(
      [first],
      `no disk is named`,
      `Say ${vm}/vda or ${vm} vda; see ${shell`virsh domblklist ${vm}`}`,
    );
  }
  return { vm, disk };
}

/** A VM alone, or one of its disks. @throws BlockflowError Usage */
export function parseVmOrDisk(first: string, second?: string): { vm: string; disk?: string } {
  const words = second === undefined ? [first] : [first, second];
  // libvirt forbids a slash in a VM's name, so the first one ends it.
  const slash = first.indexOf('/');
  if (slash >= 0 && second !== undefined) {
    throw wrong(words, 'the disk is named twice', 'Give VM/DISK or VM DISK, not both');
  }
  const vm = slash < 0 ? first : first.slice(0, slash);
  const disk = slash < 0 ? second : first.slice(slash + 1);
  check(words, vmName.safeParse(vm), vm, '`virsh list --all` shows the names of VMs');
  if (disk === undefined) return { vm };
  check(
    words,
    diskTarget.safeParse(disk),
    disk,
    `${shell`virsh domblklist ${vm}`} shows its disks`,
  );
  return { vm, disk };
}

interface Parsed {
  error?: { issues: { message: string }[] } | undefined;
}

function check(words: string[], parsed: Parsed, text: string, next: string): void {
  if (!parsed.error) return;
  throw wrong(words, `${JSON.stringify(text)} ${parsed.error.issues[0]?.message ?? ''}`, next);
}

const wrong = (words: string[], now: string, next: string) =>
  usage(`reading ${words.map((word) => JSON.stringify(word)).join(' ')}`, now, next);

/** What a person can do where libvirtd did not survive the end of a job. */
import { hold } from '../../../workflows/operation/failures.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import { shell } from '../../../workflows/operation/names.ts';

interface Named {
  vm: string;
  disk: string;
}
interface Suspended extends Named {
  attempted: string;
  /** The file that libvirt shows, and the one that QEMU has. */
  from: string;
  to: string;
}

/**
 * QEMU 9 and newer does not activate the disks of a guest that was restored paused before it runs,
 * and starts no job on them until then (docs/lab/qemu.md).
 * @throws Hold `inactive-disks` when that is why libvirt did not start a job
 */
export function assertActive(attempted: string, vm: string, said: string): void {
  if (!/Inactive '[^']*' can't be a backing child/.test(said)) return;
  throw hold('inactive-disks', {
    attempted,
    now:
      `VM ${vm} was restored paused and has not run since, so QEMU has not activated its disks ` +
      'and starts no job on them; the chain is unchanged',
    next:
      `Let it run (${shell`virsh resume ${vm}`}, then ${shell`virsh suspend ${vm}`}), ` +
      'then repeat',
  });
}

/** @param seen the disk, as libvirt shows it */
export function holdLimbo(attempted: string, { vm, disk }: Named, seen: XmlDisk | null) {
  const { ending, job, path: to = '' } = seen?.mirror ?? {};
  const shown = seen?.chain.at(-1)?.path ?? '';
  if (ending === 'abort') {
    const reload = `${shell`virsh managedsave ${vm} --running`}, then ${shell`virsh start ${vm}`}`;
    const restart = `Shut the guest down (${shell`virsh shutdown ${vm}`}) and start it again`;
    const next = job === 'copy' ? restart : reload;
    return holdEnd(attempted, disk, { now: `QEMU and libvirt have ${shown}`, next });
  }
  const now = `libvirt shows ${shown}, but QEMU has ${to}, and its guest may have run since`;
  const first = `Let the record name ${to} (${shell`virsh edit ${vm}`}), then shut the guest down`;
  const next = job === 'copy' ? first : goOnWith({ vm, disk }, to, shown);
  return holdEnd(attempted, disk, { now, next });
}

/** A copy in limbo whose guest has been suspended since the pivot: both files hold the same. */
export const holdSuspended = ({ attempted, vm, disk, from, to }: Suspended) =>
  holdEnd(attempted, disk, {
    now:
      `libvirt shows ${from}, but QEMU has ${to}; the guest has been suspended since, ` +
      'so both hold the same data',
    next:
      `Either give its memory up: ${shell`virsh destroy ${vm}`}, ${shell`virsh start ${vm}`} ` +
      '(no flushed write is missing). Or bring it back as it is: see limbo in ' +
      'docs/guide/troubleshooting.md',
  });

export const holdEnd = (
  attempted: string,
  disk: string,
  { now, next }: { now: string; next: string },
) =>
  hold('limbo', {
    attempted,
    now: `libvirtd did not survive the end of a job on ${disk}: ${now}; nothing was touched`,
    next: `${next}. Then repeat the request`,
  });

/** @param shown the file that libvirt has in its place, and its owner right */
export const goOnWith = ({ vm, disk }: Named, file: string, shown: string) =>
  `Let QEMU go on with its file: ${shell`chown --reference=${shown} ${file}`}; ` +
  `${shell`virsh managedsave ${vm} --running`}; in both ` +
  `${shell`virsh managedsave-edit ${vm}`} and ${shell`virsh edit ${vm}`} put ${file} into ` +
  `the <source> of ${disk}, its format into <driver>, and delete <backingStore> and <mirror> ` +
  'with all in them; ' +
  shell`virsh start ${vm}`;

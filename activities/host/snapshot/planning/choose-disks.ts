/** Which disks of a VM are part of a snapshot. Pure. */
import { refused, type RefusalCode } from '../../../../workflows/operation/failures.ts';
import type { SnapshotPlan } from '../../../../workflows/snapshot/create/plan.ts';
import type { CreateSnapshotInput } from '../../../../workflows/snapshot/create/request.ts';
import type { XmlDisk, XmlDomain } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { shell } from '../../../../workflows/operation/names.ts';

interface Choice {
  chosen: string[];
  left: SnapshotPlan['left'];
}

/**
 * By default all that the guest writes to and that is its own.
 * @throws Refused: unknown-disk, read-only-disk, transient-disk, unsupported-format,
 * invalid-request
 */
export function chooseDisks(
  attempted: string,
  { vm, disks: named, exclude }: Pick<CreateSnapshotInput, 'vm' | 'disks' | 'exclude'>,
  { disks }: Pick<XmlDomain, 'disks'>,
): Choice {
  const fail = (code: RefusalCode, now: string, next: string) =>
    refused(code, { attempted, now: `${now}; nothing was done`, next });
  const targets = disks.map(({ target }) => target);
  const unknown = [...named, ...exclude].find((target) => !targets.includes(target));
  if (unknown !== undefined) {
    const now = `the VM has ${targets.join(', ') || 'no disks'}, and no ${unknown}`;
    throw fail('unknown-disk', now, `See ${shell`virsh domblklist ${vm}`}`);
  }
  const both = named.find((target) => exclude.includes(target));
  if (both !== undefined) {
    const now = `${both} is named and excluded`;
    throw fail('invalid-request', now, 'Leave one of the options out');
  }
  const left: Choice['left'] = [];
  const chosen: string[] = [];
  for (const disk of disks) {
    const obstacle = obstacleOf(disk);
    const isNamed = named.includes(disk.target);
    if (exclude.includes(disk.target) || (named.length > 0 && !isNamed)) {
      left.push({ disk: disk.target, why: 'it was not asked for' });
    } else if (!obstacle) chosen.push(disk.target);
    else if (isNamed || obstacle.next !== undefined) {
      const { code, why, next = LEAVE_OUT } = obstacle;
      throw fail(code, `${disk.target}: ${why}`, next);
    } else left.push({ disk: disk.target, why: obstacle.why });
  }
  if (chosen.length > 0) return { chosen, left };
  const why = left.map((one) => `${one.disk}: ${one.why}`).join('; ') || 'it has none';
  throw fail('unknown-disk', `no disk of the VM can be part of it (${why})`, LEAVE_OUT);
}

const LEAVE_OUT = 'Name the disks that the guest writes (`--disk`), or leave this one out';

/** Where one is not left out by default: its pool may only be stopped, and its data is wanted. */
const startPool = ({ target }: XmlDisk) =>
  'Start its pool (`virsh pool-list --all`); where that is no pool of folders, leave the disk ' +
  `out (${shell`--exclude ${target}`})`;

interface Obstacle {
  code: RefusalCode;
  why: string;
  /** Of one that stops the snapshot unless it is excluded. */
  next?: string;
}

function obstacleOf(disk: XmlDisk): Obstacle | null {
  const { device, readOnly, shareable, transient, type, chain } = disk;
  if (device !== 'disk') return { code: 'unsupported-format', why: `it is a ${device}` };
  if (readOnly) return { code: 'read-only-disk', why: 'it is read-only for the VM' };
  if (shareable) return { code: 'volume-in-use', why: 'it is shareable: other VMs may write it' };
  if (transient) return { code: 'transient-disk', why: 'it is <transient/>' };
  if (type === 'volume' && chain.length === 0) {
    const why = 'its source is a volume of which no active pool of folders has the file';
    return { code: 'unsupported-format', why, next: startPool(disk) };
  }
  if (type !== 'file' && type !== 'volume') {
    return { code: 'unsupported-format', why: `its source is of type ${type}, not file` };
  }
  return null;
}

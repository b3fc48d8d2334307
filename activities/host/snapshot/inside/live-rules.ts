/**
 * Whether QEMU can be let delete a snapshot inside of images while the VM runs, through libvirt and
 * without a command that taints the VM. libvirt before 10.9 gives the name to QEMU's human monitor,
 * `delvm`, and does not read the answer: what that refuses, libvirt calls deleted
 * (docs/lab/libvirt.md). Pure: every case is tested.
 */
import type { InnerPart } from '../../../../workflows/snapshot/delete/plan.ts';
import type { XmlDisk } from '../../../adapters/libvirt-xml/domain-xml.ts';
import type { InnerSnapshot } from '../../../adapters/qemu-img/qemu-img.ts';

export interface LiveQuestion {
  name: string;
  /** Of the daemon, as it says it: `9.0.0`. */
  libvirt: string;
  /** Of the running domain. */
  disks: readonly XmlDisk[];
  hasNvram: boolean;
  /** Active layers, with what is inside of them. */
  images: readonly { disk: string; path: string; inside: readonly InnerSnapshot[] }[];
  parts: readonly InnerPart[];
  /** Kinds of the disks in libvirt's record of that name; null without a record. */
  listed: readonly string[] | null;
}

export interface Obstacle {
  why: string;
  /** Whether libvirt 10.9 and newer can do it. */
  onlyOld: boolean;
}

/** @returns null when it can be done */
export function liveObstacle(question: LiveQuestion): Obstacle | null {
  const byVersion = isNew(question.libvirt) ? newVersion : oldVersion;
  return anyVersion(question) ?? byVersion(question);
}

/** From 10.9 on libvirt uses jobs with a list of disks, and reads how they end. */
function isNew(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 10 || (major === 10 && minor >= 9);
}

function anyVersion({ name, images, parts, listed }: LiveQuestion): Obstacle | null {
  const found = (why: string) => ({ why, onlyOld: false });
  const lower = parts.find(
    ({ disk, volume }) => images.find((image) => image.disk === disk)?.path !== volume.path,
  );
  if (lower) return found(`${lower.volume.path}, which has it, is below other layers`);
  for (const { disk, path, inside } of images) {
    const same = inside.filter((one) => one.name === name);
    const ids = same.map(({ id }) => id).join(', ');
    if (same.length > 1) return found(`${path} has several of that name (ids ${ids})`);
    const isPart = parts.some((part) => part.disk === disk);
    if (same.length === 1 && !isPart) {
      return found(`QEMU deletes by name, on all disks: ${disk} would lose its own (id ${ids})`);
    }
  }
  if (listed === null && (name.includes('/') || name.startsWith('.'))) {
    return found('libvirt does not list it, and takes no name with a slash, or a dot first');
  }
  const isOther = listed?.some((kind) => kind === 'external' || kind === 'manual');
  return isOther ? found("libvirt's list has a snapshot of that name in layers") : null;
}

/** libvirt puts the name into the name of QEMU's job, of which QEMU takes few characters. */
function newVersion({ name, libvirt }: LiveQuestion): Obstacle | null {
  if (/^[\w.-]+$/.test(name)) return null;
  const why = 'QEMU takes only letters, digits, "-", "." and "_" in the name then';
  return { why: `libvirt ${libvirt} cannot do it: ${why}`, onlyOld: false };
}

function oldVersion({ name, libvirt, disks, hasNvram }: LiveQuestion): Obstacle | null {
  const found = (why: string) => ({
    why: `libvirt ${libvirt} cannot do it: ${why}`,
    onlyOld: true,
  });
  if (/["\\]/.test(name)) return found('a quote or a backslash in the name');
  if (hasNvram) return found('the VM has NVRAM, which holds no snapshots');
  const odd = disks.find(
    ({ device, readOnly, chain }) =>
      device !== 'cdrom' && !readOnly && chain.at(-1)?.format !== 'qcow2',
  );
  if (!odd) return null;
  return found(`every disk that the VM writes has to be qcow2, and ${odd.target} is not`);
}

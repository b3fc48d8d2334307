/** Whether QEMU can reach what a pool's folder holds: a VM whose disk is there starts only then. */
import { dirname } from 'node:path';
import { refused } from '../../../workflows/operation/failures.ts';
import { canonical } from '../../adapters/files/files.ts';
import { modeUnlessWritten } from '../../adapters/files/attributes.ts';
import {
  isGivenToQemu,
  mayEnter,
  mayReadAndWrite,
  qemuUserOf,
} from '../../adapters/virsh/qemu-user.ts';
import type { HostDeps } from '../deps.ts';

interface Reach {
  /** The outermost folder that QEMU's user cannot enter, in words; null when there is none. */
  closed: string | null;
  /** Why it is not known, else null. */
  unknown: string | null;
}

/**
 * @param vm UUID of the VM that has to start; null for none in particular, which the host's default
 * user stands for
 */
export async function observeReach(
  { libvirt }: HostDeps,
  folder: string,
  vm: string | null,
): Promise<Reach> {
  const capabilities = await libvirt.capabilities();
  const who = qemuUserOf(capabilities, vm === null ? null : await libvirt.inactiveXml(vm));
  if (who === null) return { closed: null, unknown: null };
  const words = `the user of QEMU (${who.user}:${who.group})`;
  const enters = await mayEnter(who, folder);
  if (enters === null) {
    return { closed: null, unknown: `it is not known whether ${words} can enter ${folder}` };
  }
  if (enters) return { closed: null, unknown: null };
  for (const outer of await foldersTo(folder)) {
    if ((await mayEnter(who, outer)) === false) {
      return { closed: `${words} cannot enter ${outer}`, unknown: null };
    }
  }
  return { closed: `${words} cannot enter ${folder}`, unknown: null };
}

/** As the path has them, then as links lead: outermost first. */
async function foldersTo(folder: string): Promise<string[]> {
  const above = (path: string): string[] =>
    path === dirname(path) ? [path] : [...above(dirname(path)), path];
  return [...new Set([...above(folder), ...above(await canonical(folder))])];
}

/** The active layer of a disk, as it is to be. */
interface Active {
  path: string;
  /** UUID. */
  vm: string;
  disk: string;
  /** It will be an overlay that is made with the rights of this file. */
  isModel?: boolean;
}

/**
 * Why QEMU will not open a file for writing when the VM starts with it as its active layer; null
 * where it will, or where that is not known.
 */
async function obstacleToWriting({ libvirt }: HostDeps, { path, vm, disk, isModel }: Active) {
  const xml = await libvirt.inactiveXml(vm);
  if (xml === null) return null;
  const isGiven = await isGivenToQemu(xml, disk);
  const mode = isGiven && !isModel ? await modeUnlessWritten(path) : null;
  // As nearly always: libvirt need not tell the user then.
  if (isGiven && mode === null) return null;
  const who = qemuUserOf(await libvirt.capabilities(), xml);
  if (who === null || ROOT.has(who.user)) return null;
  const words = `the user of QEMU (${who.user}:${who.group})`;
  if (mode !== null) {
    return `the mode of ${path} is 0${mode.toString(8)}: ${words} may not write to it as its owner`;
  }
  const may = await mayReadAndWrite(who, path);
  return may === false ? `${words} may not write to ${path}, whose owner libvirt keeps` : null;
}

/** Modes say nothing to it: libvirt 9.0 leaves it its capabilities. */
const ROOT = new Set(['root', '0']);

/** @throws Refused `closed-volume` */
export async function assertStarts(
  deps: HostDeps,
  attempted: string,
  active: Active,
): Promise<void> {
  const obstacle = await obstacleToWriting(deps, active);
  if (obstacle === null) return;
  throw refused('closed-volume', {
    attempted,
    now: `${obstacle}, so the VM could not start from it; nothing was touched`,
    next: 'Let it be written (`chmod u+rw`, `chown`), then repeat the request',
  });
}

/**
 * A VM has to start with what is moved there; what no VM uses may be kept anywhere.
 * @param vm UUID, null for a standalone image
 * @returns what users should know, in words
 * @throws Refused `closed-folder`
 */
export async function assertOpen(
  deps: HostDeps,
  attempted: string,
  folder: string,
  vm: string | null,
): Promise<string[]> {
  const { closed, unknown } = await observeReach(deps, folder, vm);
  if (closed === null) return unknown === null ? [] : [unknown];
  if (vm === null) return [`${closed}: no VM can start from ${folder}`];
  throw refused('closed-folder', {
    attempted,
    now: `${closed}, so the VM could not start from ${folder}; nothing was touched`,
    next: 'Let that user in (`chmod o+x`, or an ACL of `setfacl`), or choose another pool',
  });
}

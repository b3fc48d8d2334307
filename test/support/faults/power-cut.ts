/** The power of a disk is cut at a point of an operation. */
import { agentOf, armFault, type Fault } from './faults.ts';
import type { OwnMount } from '../host/own-mount.ts';
import type { System } from '../host/system.ts';

export interface PowerCut {
  system: System;
  disk: OwnMount;
  /** When: the agent stands still at this point. */
  at: Pick<Fault, 'effect' | 'action'>;
  /** The guest that writes to the disk, if any: it stands still, too. */
  vm?: string;
}

/** @param path of the disk after the cut */
export type Look = (path: string) => unknown;

/** Looks at the disk as it would be after the cut; the operation goes on afterwards. */
export async function cutPower<T>(
  { system, disk, at, vm }: PowerCut,
  start: () => Promise<T>,
  look: Look,
): Promise<T> {
  armFault(system.trace, at);
  const operation = await start();
  const agent = agentOf(at.effect);
  await system.roleStopped(agent);
  const qemu = vm === undefined ? null : system.host.qemuPid(vm);
  if (qemu !== null) process.kill(qemu, 'SIGSTOP');
  const found = await disk.afterPowerCut();
  try {
    await look(found.path);
  } finally {
    await found.close();
    if (qemu !== null) process.kill(qemu, 'SIGCONT');
    system.signalRole(agent, 'SIGCONT');
  }
  return operation;
}

/** The proof before the source is deleted: QEMU and libvirt have the copies, in all views. */
import type { ResultOf } from '../../../../workflows/operation/activities.ts';
import { hold } from '../../../../workflows/operation/failures.ts';
import type { ImageJob, transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { copyPaths } from '../../../../workflows/transfer/copied.ts';
import { syncPath } from '../../../adapters/files/files.ts';
import { removePivotReport } from '../../../adapters/virsh/safe-pivot.ts';
import { untilSettled } from '../../../door/polling.ts';
import type { HostDeps } from '../../deps.ts';
import { holdLost } from '../../chain/lost-vm.ts';
import { observeChain } from '../../chain/observe-chain.ts';
import type { DiskSwitch } from '../../pivot/disk-switch.ts';
import { pivotFile } from '../../pivot/look-at-disk.ts';
import { localIdentities } from '../copies.ts';
import { switchOf } from './look.ts';
import { shell } from '../../../../workflows/operation/names.ts';

/** Looks before a doubt becomes a Hold. */
const PATIENCE = 30;

/** @throws Hold for a doubt that does not settle */
export async function observeMoveProof(
  deps: HostDeps,
  job: ImageJob,
): Promise<ResultOf<typeof transferOnHost, 'observeMoveProof'>> {
  const change = await switchOf(job);
  // QEMU flushes the copy before the pivot; this one says so when it could not.
  await syncPath(change.to.path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EIO') throw error;
    throw unproven(change, [`${change.to.path} could not be flushed (Input/output error)`]);
  });
  const { chain, doubts } = await untilSettled(PATIENCE, () => lookForProof(deps, job, change));
  if (doubts.length > 0) throw unproven(change, doubts);
  await removePivotReport(pivotFile(deps, change));
  return { guest: chain.vm.state };
}

async function lookForProof(deps: HostDeps, { plan }: ImageJob, change: DiskSwitch) {
  const { vm, disk, vmUuid, attempted } = change;
  const chain = await observeChain(deps, { vm, disk, host: deps.host }, vmUuid);
  if (chain.lost) throw holdLost(attempted, chain.vm, chain.lost, false);
  const doubts = [...chain.disagreements];
  const found = chain.volumes.map(({ path }) => path);
  const wanted = copyPaths(plan);
  if (found.join('\n') !== wanted.join('\n')) doubts.push(`the chain is ${found.join(' <- ')}`);
  const sources = await localIdentities(plan);
  const open = chain.openFiles?.find(({ identity }) => sources.has(identity));
  if (open) doubts.push(`QEMU still has ${sources.get(open.identity)} open`);
  return { chain, doubts };
}

const unproven = ({ attempted, vm, disk }: DiskSwitch, doubts: string[]) =>
  hold('unproven', {
    attempted,
    now: `${doubts.join('; ')}; source and copies are both kept`,
    next: `Compare with ${shell`blockflow chain ${vm} ${disk}`}, then repeat the request`,
  });

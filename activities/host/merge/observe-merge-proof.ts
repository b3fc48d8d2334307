/**
 * The proof before deletion: success is the chain, in all its views, and no process has the
 * volumes open.
 */
import type { JobInput, MergeProof } from '../../../workflows/merge/activities.ts';
import { hold } from '../../../workflows/operation/failures.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import { observeFile, syncPath } from '../../adapters/files/files.ts';
import { syncRecords } from '../../adapters/virsh/libvirt-folders.ts';
import { isUnlocked } from '../../adapters/qemu-img/qemu-img.ts';
import { untilSettled } from '../../door/polling.ts';
import type { HostDeps } from '../deps.ts';
import { observeSharing } from '../uses/sharing.ts';
import { holdLost } from '../chain/lost-vm.ts';
import { observeChain, type Chain } from '../chain/observe-chain.ts';
import { attempt } from './observe-disk.ts';
import { shell } from '../../../workflows/operation/names.ts';

/** Looks before a doubt becomes a Hold. */
const PATIENCE = 30;

/**
 * Proves that the committed volumes are out of the chain and unused.
 * @throws Hold for a doubt that does not settle
 */
export async function observeMergeProof(deps: HostDeps, input: JobInput): Promise<MergeProof> {
  const { plan } = input;
  await assertFlushed(input);
  const { chain, doubts } = await untilSettled(PATIENCE, () => lookForProof(deps, input));
  if (doubts.length > 0) throw unproven(input, doubts);
  // Without this a power cut could bring the names of the committed volumes back.
  if (chain.persistentDomain) await syncRecords(chain.vm);
  const { obstacle } = await observeSharing(deps, chain, plan.committed, plan.chainBefore);
  // Not refused any more: the merge itself is done.
  if (obstacle) throw unproven(input, [obstacle.now]);
  return { chainAfter: chain.volumes.map((volume) => volume.path), guest: chain.vm.state };
}

/**
 * What takes the place of the committed volumes is on the disk: QEMU flushes base before the pivot,
 * but not the header that it has given an overlay.
 */
async function assertFlushed(input: JobInput): Promise<void> {
  const { base, overlay } = input.plan;
  for (const { path } of overlay ? [base, overlay] : [base]) {
    await syncPath(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EIO') throw error;
      throw unproven(input, [`${path} could not be flushed (Input/output error)`]);
    });
  }
}

async function lookForProof(deps: HostDeps, { plan }: JobInput) {
  const ref = { vm: plan.vm, disk: plan.disk, host: plan.host };
  // A process that opens a volume after this look is found by the next one, before its deletion.
  const [chain, locked] = await Promise.all([
    observeChain(deps, ref, plan.vmUuid),
    Promise.all(plan.committed.map(isStillLocked)),
  ]);
  if (chain.lost) throw holdLost(attempt(plan), chain.vm, chain.lost, false);
  const doubts = [...chain.disagreements, ...leftInChain(chain, plan.committed)];
  const hasBase = chain.volumes.some((volume) => volume.path === plan.base.path);
  if (!hasBase) doubts.push(`${plan.base.path} is not in the chain`);
  doubts.push(...plan.committed.flatMap((volume, i) => stillUsed(chain, volume, locked[i])));
  return { chain, doubts };
}

function leftInChain(chain: Chain, committed: readonly Volume[]): string[] {
  return committed
    .filter(({ path, identity }) =>
      chain.volumes.some((volume) => volume.path === path || volume.identity === identity),
    )
    .map((gone) => `${gone.path} is still in the chain`);
}

async function isStillLocked(volume: Volume): Promise<boolean> {
  const facts = await observeFile(volume.path);
  return facts?.identity === volume.identity && !(await isUnlocked(volume.path));
}

function stillUsed(chain: Chain, volume: Volume, isLocked = false): string[] {
  if (chain.openFiles?.some((file) => file.identity === volume.identity)) {
    return [`QEMU still has ${volume.path} open`];
  }
  return isLocked ? [`some process still has ${volume.path} open`] : [];
}

function unproven({ plan }: JobInput, doubts: string[]) {
  return hold('unproven', {
    attempted: `proving the merge of ${plan.top.path} into ${plan.base.path}`,
    now: `${doubts.join('; ')}; nothing was deleted`,
    next: `Compare with ${shell`blockflow chain ${plan.vm} ${plan.disk}`}, then repeat the request`,
  });
}

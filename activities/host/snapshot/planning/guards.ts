/** What must hold of each disk before a snapshot is taken. */
import { basename } from 'node:path';
import { hold, refused } from '../../../../workflows/operation/failures.ts';
import { operationId } from '../../../../workflows/chain/references.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { isFilePool, poolNeeded, poolOf } from '../../../adapters/virsh/pools.ts';
import { assertSound } from '../../chain/sound-headers.ts';
import { toObservation, type Chain } from '../../chain/observe-chain.ts';
import { assertNoUnfinishedMove } from '../../../pool-folder/unfinished-move.ts';
import type { HostDeps } from '../../deps.ts';
import { shell } from '../../../../workflows/operation/names.ts';

/**
 * @returns what users should know, in words
 * @throws Refused: other-operation, foreign-job, outside-pools, unsupported-pool,
 * unsupported-format, corrupt-image; Hold `divergent-chain`
 */
export async function assertDiskReady(
  deps: HostDeps,
  attempted: string,
  chain: Chain,
  leaveOut = `Leave it out (${shell`--exclude ${chain.disk}`})`,
): Promise<string[]> {
  const id = operationId({ vm: chain.vm.name, disk: chain.disk });
  if (chain.record) {
    throw refused('other-operation', {
      attempted,
      now: `job ${chain.record.jobId} of ${chain.record.workflow} is unfinished here`,
      next: `Finish it first: repeat the merge of ${id}`,
    });
  }
  await assertNoUnfinishedMove(attempted, chain);
  const { job } = await toObservation(deps, chain);
  if (job || chain.xmlDisk.mirror) {
    throw refused('foreign-job', {
      attempted,
      now: `disk ${chain.disk} has a block job (${job?.type ?? 'a mirror'}); nothing was touched`,
      next: `Wait for it; see ${shell`virsh blockjob ${chain.vm.name} ${chain.disk} --info`}`,
    });
  }
  if (chain.disagreements.length > 0) {
    throw hold('divergent-chain', {
      attempted,
      now: `the views of ${id} differ, nothing was touched: ${chain.disagreements.join('; ')}`,
      next: `Compare with ${shell`blockflow chain ${id}`}, fix the wrong view first`,
    });
  }
  const base = chain.volumes.at(-1) as Volume;
  assertInPool(attempted, chain, base, leaveOut);
  const header = chain.headers.get(base.path);
  if (header) assertSound(attempted, [{ path: base.path, header }]);
  const [odd] = [...chain.xmlDisk.oddElements, ...(header?.encrypted ? ['<encryption>'] : [])];
  if (odd !== undefined) {
    throw refused('unsupported-format', {
      attempted,
      now: `disk ${chain.disk} has ${odd}, which an overlay could not carry; nothing was done`,
      next: leaveOut,
    });
  }
  const bitmaps = header?.bitmaps.map(({ name }) => name) ?? [];
  if (bitmaps.length === 0) return [];
  const words = `dirty bitmaps ${bitmaps.join(', ')} of ${basename(base.path)} stay in that layer`;
  return [`${words}: what is written after the snapshot is not in them`];
}

function assertInPool(attempted: string, chain: Chain, { path }: Volume, leaveOut: string): void {
  const pool = poolOf(chain.pools, path);
  if (pool && isFilePool(pool)) return;
  if (pool) {
    throw refused('unsupported-pool', {
      attempted,
      now: `${path} is in pool ${pool.name} of type ${pool.type}; nothing was done`,
      next: leaveOut,
    });
  }
  throw refused('outside-pools', {
    attempted,
    now: `${path} is not in any active storage pool of ${chain.host}; nothing was done`,
    next: poolNeeded(path),
  });
}

/** A disk of the running VM alone has no record that could follow. @throws `not-persistent` */
export function assertRecorded(attempted: string, { vm, disk, isRecorded }: Chain): void {
  if (isRecorded || !vm.persistent) return;
  throw refused('not-persistent', {
    attempted,
    now:
      `disk ${disk} is attached to the running VM alone, and libvirt's list of snapshots names ` +
      'disks of the record; nothing was done',
    next:
      `Attach it in the record, too (\`virsh attach-disk --config\`), or leave it out ` +
      `(${shell`--exclude ${disk}`})`,
  });
}

/** "Backing chains more than 200 layers deep are not supported" (libvirt 9.0). */
const MOST_LAYERS = 200;

/** With one more the VM would not start. @throws Refused `too-many-layers` */
export function assertRoomForLayer(attempted: string, { vm, disk, volumes }: Chain): void {
  if (volumes.length < MOST_LAYERS) return;
  const id = operationId({ vm: vm.name, disk });
  throw refused('too-many-layers', {
    attempted,
    now: `${id} has ${volumes.length} layers, and libvirt uses no more; nothing was done`,
    next: `Merge some first (${shell`blockflow merge ${id}`}), then repeat the request`,
  });
}

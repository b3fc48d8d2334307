/**
 * What must hold before a merge may start. Each guard either returns or refuses with the reason and
 * a next step.
 */
import { filePoolTypes, poolNeeded, poolOf } from '../../../adapters/virsh/pools.ts';
import { hold, refused } from '../../../../workflows/operation/failures.ts';
import type { LiveMergeInput } from '../../../../workflows/merge/request.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { bitmapsIn, obstacleToCarry, obstacleToHold } from '../carried-bitmaps.ts';
import { checkpointsOf } from '../../chain/checkpoints-of.ts';
import { assertSound } from '../../chain/sound-headers.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import type { Selection } from './selection.ts';
import type { HostDeps } from '../../deps.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import type { Sharing } from '../../uses/sharing.ts';
import { shell } from '../../../../workflows/operation/names.ts';
import { sizeWords } from '../../../../workflows/operation/words.ts';

export const attempt = ({ vm, disk }: { vm: string; disk: string }) =>
  `planning a merge of ${vm}/${disk}`;

export function assertWritable(input: LiveMergeInput, chain: Chain): void {
  if (chain.readOnly) {
    throw refused('read-only-disk', {
      attempted: attempt(input),
      now: `disk ${input.disk} is read-only for the VM`,
      next: 'Merge it through a VM that may write it',
    });
  }
  if (chain.transient) {
    throw refused('transient-disk', {
      attempted: attempt(input),
      now: `disk ${input.disk} is <transient/>: libvirt discards its overlay when the VM stops`,
      next: 'Nothing needs to be merged',
    });
  }
}

/** While it is down only: a guest that runs was restored, or never saved. */
export function assertNotSaved(input: LiveMergeInput, chain: Chain): void {
  if (chain.vm.state !== 'off' || !chain.managedSave) return;
  throw refusedManagedSave(attempt(input), input.vm);
}

/** A Hold: the views differ, and choosing one of them could lose data (H1, H2, H3). */
export function assertAgreement(input: LiveMergeInput, chain: Chain): void {
  if (chain.disagreements.length === 0) return;
  throw hold('divergent-chain', {
    attempted: attempt(input),
    now: `the views of the chain differ, nothing was touched: ${chain.disagreements.join('; ')}`,
    next:
      `Compare with ${shell`blockflow chain ${input.vm} ${input.disk}`}, fix the wrong ` +
      'view first',
  });
}

/**
 * While the VM is down `qemu-img` opens top with all below it, and blockflow writes the record. Of
 * a running VM QEMU has the keys, and libvirt writes it.
 */
export function assertUnderstood(input: LiveMergeInput, chain: Chain, { top }: Selection): void {
  if (chain.vm.state !== 'off') return;
  const opened = chain.volumes.slice(0, chain.volumes.findIndex((v) => v.path === top.path) + 1);
  const locked = opened.find(({ path }) => chain.headers.get(path)?.encrypted);
  const live = 'Merge it while the VM runs';
  if (locked) {
    throw refused('unsupported-format', {
      attempted: attempt(input),
      now: `${locked.path} is encrypted, and blockflow has no key; nothing was touched`,
      next: `${live}: its QEMU has the key`,
    });
  }
  const [odd] = chain.xmlDisk.oddElements;
  if (odd === undefined) return;
  throw refused('unsupported-format', {
    attempted: attempt(input),
    now: `the record of ${input.vm}/${input.disk} has ${odd}, which blockflow cannot carry over`,
    next: live,
  });
}

/** What a merge changes or deletes has no other user (I2). */
export function assertUnshared(input: LiveMergeInput, { obstacle }: Sharing): void {
  if (!obstacle) return;
  const { code, ...words } = obstacle;
  throw refused(code, { attempted: attempt(input), ...words });
}

/** Only volumes directly inside an active file pool may be changed (I16). */
export function assertInPools(
  input: LiveMergeInput,
  chain: Chain,
  volumes: readonly Volume[],
): void {
  for (const { path } of volumes) {
    const pool = poolOf(chain.pools, path);
    if (!pool) {
      throw refused('outside-pools', {
        attempted: attempt(input),
        now: `${path} lies in no active storage pool of ${chain.host}`,
        next: poolNeeded(path),
      });
    }
    if (!filePoolTypes.includes(pool.type)) {
      throw refused('unsupported-pool', {
        attempted: attempt(input),
        now: `${path} lies in pool ${pool.name} of type ${pool.type}`,
        next: `Pools of type ${filePoolTypes.join(', ')} are supported`,
      });
    }
  }
}

/** H8: deleting a volume deletes the internal snapshots inside it. */
export function assertNoInternalSnapshots(input: LiveMergeInput, selection: Selection): void {
  if (input.keepVolumes || input.keepOverlay) return;
  for (const volume of selection.committed) {
    if (volume.internalSnapshots.length === 0) continue;
    const names = volume.internalSnapshots.join(', ');
    throw refused('internal-snapshots', {
      attempted: attempt(input),
      now: `${volume.path} holds internal snapshots that would be lost: ${names}`,
      next: 'Delete them first, or merge with --keep-volumes',
    });
  }
}

const layersOf = ({ headers }: Chain, volumes: readonly Volume[]) =>
  volumes.flatMap(({ path }) => {
    const header = headers.get(path);
    return header ? [{ path, header }] : [];
  });

/** A commit opens its ends for writing; offline also the layer above, whose header it changes. */
export function assertWritableHeaders(
  input: LiveMergeInput,
  chain: Chain,
  { top, base, overlay }: Selection,
): void {
  assertSound(attempt(input), layersOf(chain, [base, top, ...(overlay ? [overlay] : [])]));
}

/**
 * libvirt carries dirty bitmaps through a live commit, and loses without a word what base cannot
 * hold (libvirt 9.0).
 * @returns what users should know, in words
 */
export async function assertBitmapsFollow(
  deps: HostDeps,
  input: LiveMergeInput,
  chain: Chain,
  selection: Selection,
): Promise<string[]> {
  const [base] = layersOf(chain, [selection.base]);
  if (!base) return [];
  const isDown = chain.vm.state === 'off';
  const bitmaps = bitmapsIn(layersOf(chain, selection.committed));
  const inQemu =
    isDown || selection.overlay ? [] : await checkpointsOf(deps, chain.vm.uuid, input.disk);
  const names = new Set([...bitmaps.map(({ name }) => name), ...inQemu]);
  const now = isDown ? obstacleToCarry(base, bitmaps) : obstacleToHold(base, [...names]);
  if (now !== null) {
    throw refused('dirty-bitmaps', {
      attempted: attempt(input),
      now: `${now}; nothing was done`,
      next:
        'Delete the checkpoints first (`virsh checkpoint-delete`, `qemu-img bitmap --remove`): ' +
        'the next backup is a full one then',
    });
  }
  if (!isDown) return [];
  const larger = bitmaps.filter(({ isEnabled }) => isEnabled).map(({ name }) => name);
  if (larger.length === 0) return [];
  const words = `dirty bitmaps ${larger.join(', ')} follow into ${base.path}`;
  return [`${words}: the next backup since one of them has all that is merged`];
}

/** What cannot be waited for. */
export function tooSmall(input: LiveMergeInput, base: Volume, needed: number, total: number) {
  const [more, whole] = [needed, total].map(sizeWords);
  return refused('not-enough-space', {
    attempted: `planning a merge of ${input.vm}/${input.disk}`,
    now: `${base.path} would need ${more} more, its whole file system has ${whole}`,
    next: 'Enlarge that file system, or merge fewer layers (--base)',
  });
}

/** Plans a snapshot inside of the images of a VM that is down; refuses early. */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import { refused } from '../../../../workflows/operation/failures.ts';
import { vmName, shell } from '../../../../workflows/operation/names.ts';
import { createWords } from '../../../../workflows/snapshot/create/words.ts';
import type { insideOnHost } from '../../../../workflows/snapshot/inside/activities.ts';
import type { InsidePlan } from '../../../../workflows/snapshot/inside/plan.ts';
import type { XmlDisk } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { nameVolume } from '../../../pool-folder/id.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { observeChain, type Chain } from '../../chain/observe-chain.ts';
import { observeVm, type VmLook } from '../../chain/observe-vm.ts';
import type { HostDeps } from '../../deps.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { chooseDisks } from '../planning/choose-disks.ts';
import { assertDiskReady } from '../planning/guards.ts';
import {
  assertNameFree,
  assertNoCheckpoints,
  timeName,
} from '../planning/observe-snapshot-plan.ts';
import { assertNoUnfinishedSnapshot } from '../../snapshots/creation-notes.ts';
import { assertNoUnfinishedRevert } from '../../snapshots/revert-notes.ts';
import { disksInside, innerOf } from './look-inside.ts';

type Input = InputOf<typeof insideOnHost, 'observeInsidePlan'>;

/**
 * Observes and decides; has no effect.
 * @throws Refused: vm-running, managed-save, other-operation, snapshot-exists, checkpoints,
 * unknown-disk, unsupported-format, and what the guards of a disk say
 */
export async function observeInsidePlan(deps: HostDeps, input: Input): Promise<InsidePlan> {
  const { request } = input;
  const attempted = `planning \`${createWords(request)}\``;
  const vm = await observeVm(deps, request.vm);
  assertDown(attempted, vm);
  await assertNoUnfinishedSnapshot(attempted, vm);
  await assertNoUnfinishedRevert(attempted, vm);
  const snapshot = request.name ?? timeName();
  const since = Math.floor((input.since === null ? Date.now() : Date.parse(input.since)) / 1000);
  if (!(input.since !== null && (await isListedInside(deps, vm.uuid, snapshot)))) {
    await assertNameFree(deps, attempted, vm.uuid, snapshot);
  }
  await assertNoCheckpoints(deps, attempted, vm.uuid);
  const xmlDisks = vm.persistentDomain?.disks ?? [];
  const { chosen, left } = chooseDisks(attempted, request, { disks: xmlDisks });
  assertNoneLeft(attempted, xmlDisks, left);
  const disks: InsidePlan['disks'] = [];
  for (const disk of chosen) {
    const ref = { vm: request.vm, disk, host: request.host };
    const chain = await observeChain(deps, ref).catch(refuseMissingLayer(deps, attempted));
    await assertDiskReady(deps, attempted, chain, 'Take the snapshot without --internal');
    assertNotInside(attempted, chain, { snapshot, since: input.since === null ? null : since });
    disks.push({ disk, image: await imageOf(attempted, chain) });
  }
  return {
    ...{ vm: vmName.parse(vm.name), vmUuid: vm.uuid, host: deps.host, snapshot, since },
    description: request.description,
    disks,
    left,
  };
}

function assertDown(attempted: string, { name, state, managedSave }: VmLook): void {
  if (state !== 'off') {
    throw refused('vm-running', {
      attempted,
      now: `VM ${name} is ${state}, and images that QEMU has open take none; nothing was done`,
      next:
        `Shut it down and repeat the request, take one without --internal, or let libvirt take ` +
        'one with the memory, while the guest stands still: ' +
        `${shell`virsh snapshot-create-as ${name}`}`,
    });
  }
  if (managedSave) throw refusedManagedSave(attempted, name);
}

/** By a run that was terminated before it could say so. */
async function isListedInside(deps: HostDeps, uuid: string, name: string): Promise<boolean> {
  const all = await observeSnapshots(deps, uuid);
  return all.some((snapshot) => snapshot.name === name && disksInside(snapshot).length > 0);
}

/** libvirt lists, and goes back to, one that is inside of all images that the VM writes. */
function assertNoneLeft(
  attempted: string,
  disks: readonly XmlDisk[],
  left: InsidePlan['left'],
): void {
  const odd = left.find(({ disk }) => {
    const xml = disks.find(({ target }) => target === disk);
    if (!xml || xml.device === 'cdrom' || xml.readOnly) return false;
    // A drive without a medium has no source; one on the network has no file.
    return xml.chain.length > 0 || !['file', 'block'].includes(xml.type);
  });
  if (!odd) return;
  throw refused('unsupported-format', {
    attempted,
    now:
      'libvirt wants an internal snapshot on all disks that the VM writes, and ' +
      `${odd.disk} cannot be left out (${odd.why}); nothing was done`,
    next: 'Take the snapshot without --internal',
  });
}

/** What an earlier run of this request has made is no obstacle. */
function assertNotInside(
  attempted: string,
  chain: Chain,
  { snapshot, since }: { snapshot: string; since: number | null },
): void {
  const other = innerOf(chain).find(
    ({ name, takenSeconds }) => name === snapshot && (since === null || takenSeconds < since),
  );
  if (!other) return;
  throw refused('snapshot-exists', {
    attempted,
    now:
      `${other.path} of ${chain.disk} has one of that name inside (id ${other.id}); ` +
      'nothing was done',
    next:
      'Choose another name, or delete that one first ' +
      `(${shell`blockflow snapshot delete ${chain.vm.name} ${snapshot}`})`,
  });
}

async function imageOf(attempted: string, { disk, volumes }: Chain) {
  const active = volumes.at(-1);
  if (active?.format === 'qcow2') return nameVolume(active);
  throw refused('unsupported-format', {
    attempted,
    now: `disk ${disk} is ${active?.format}, which holds no snapshots; nothing was done`,
    next: 'Take the snapshot without --internal',
  });
}

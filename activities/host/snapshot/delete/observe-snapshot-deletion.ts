/**
 * Which snapshots a request deletes, in which order, and what they still have. What each merge
 * needs besides is planned by the merges themselves.
 */
import { refused } from '../../../../workflows/operation/failures.ts';
import type {
  GoingSnapshot,
  SnapshotDeletion,
} from '../../../../workflows/snapshot/delete/plan.ts';
import type { DeleteSnapshotInput } from '../../../../workflows/snapshot/delete/request.ts';
import { canonical } from '../../../adapters/files/files.ts';
import { factsOf, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { HostDeps } from '../../deps.ts';
import { observeChain, observeDomain, type Chain } from '../../chain/observe-chain.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { assertNamesFit } from '../../snapshots/redefinable.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { targetsOf } from '../inside/look-inside.ts';
import { observeMemory } from './memory.ts';
import { planInside } from './plan-inside.ts';
import { shell } from '../../../../workflows/operation/names.ts';

const attempt = ({ vm, name }: DeleteSnapshotInput) => `deleting snapshot ${name} of ${vm}`;

/** @throws Refused: unknown-snapshot, internal-snapshots, volume-not-in-chain, broken-chain */
export async function observeSnapshotDeletion(
  deps: HostDeps,
  input: DeleteSnapshotInput,
): Promise<SnapshotDeletion> {
  const { identity, live, persistentDomain } = await observeDomain(deps, input);
  const { uuid, name: vm } = identity.vm;
  const all = await observeSnapshots(deps, uuid);
  // Its merges change the records of those that stand on it.
  assertNamesFit(
    attempt(input),
    vm,
    all.map((snapshot) => snapshot.name),
  );
  const found = { vm, vmUuid: uuid, host: deps.host };
  const inside = namesInside(input, all);
  if (inside) {
    const question = { attempted: attempt(input), input, all };
    return { ...found, snapshots: await planInside(deps, question, inside) };
  }
  const chains = createChains(deps, input, uuid);
  const targets = targetsOf({ live, persistentDomain });
  const snapshots: GoingSnapshot[] = [];
  for (const snapshot of chosen(all, input)) {
    const { takenAtSeconds } = factsOf(snapshot);
    const layers = layersOf(snapshot);
    const attached = layers.filter(({ disk }) => targets.includes(disk));
    const detached = layers.filter(({ disk }) => !targets.includes(disk));
    snapshots.push({
      name: snapshot.name,
      takenAt: takenAtSeconds === null ? null : new Date(takenAtSeconds * 1000).toISOString(),
      disks: await disksToMerge(input, snapshot.name, attached, chains),
      ...(detached.length === 0 ? {} : { detached }),
      memory: await observeMemory(deps, { uuid, snapshot, others: all }),
    });
  }
  return { ...found, snapshots };
}

/** Those that are inside of images, leaves first; null of snapshots that are layers. */
function namesInside(input: DeleteSnapshotInput, all: readonly Snapshot[]): string[] | null {
  const { name, scope, only } = input;
  const isListed = all.some((snapshot) => snapshot.name === name);
  // What libvirt does not list may be in the images all the same.
  if (only || (!isListed && scope === 'snapshot')) return [name];
  const going = chosen(all, input);
  return areInside(input, going) ? going.map((snapshot) => snapshot.name) : null;
}

/** Leaves first: a snapshot goes when none that was taken on it is left. */
function chosen(all: readonly Snapshot[], input: DeleteSnapshotInput): Snapshot[] {
  const { vm, name, scope } = input;
  if (!all.some((snapshot) => snapshot.name === name)) {
    throw refused('unknown-snapshot', {
      attempted: attempt(input),
      now: `libvirt lists ${all.map((one) => one.name).join(', ') || 'no snapshots'}`,
      next: `See ${shell`blockflow snapshot list ${vm}`}`,
    });
  }
  const names = new Set([name]);
  // Parents come first in the list.
  for (const snapshot of all) {
    const { parent } = factsOf(snapshot);
    if (scope !== 'snapshot' && parent !== null && names.has(parent)) names.add(snapshot.name);
  }
  if (scope === 'children-only') names.delete(name);
  return all.filter((snapshot) => names.has(snapshot.name)).reverse();
}

/** Whether they are inside of images. @throws Refused `internal-snapshots` when only some are */
function areInside(input: DeleteSnapshotInput, going: readonly Snapshot[]): boolean {
  const withKind = (...kinds: string[]) =>
    going.filter(({ disks }) => disks.some(({ kind }) => kinds.includes(kind)));
  const [inside, layered, manual] = [
    withKind('internal'),
    withKind('external'),
    withKind('manual'),
  ];
  const names = (snapshots: readonly Snapshot[]) => snapshots.map(({ name }) => name).join(', ');
  if (manual.length > 0) {
    throw refused('internal-snapshots', {
      attempted: attempt(input),
      now: `snapshot ${names(manual)} was taken by another program (\`snapshot='manual'\`)`,
      next: `Delete it there, then ${shell`virsh snapshot-delete ${input.vm} NAME --metadata`}`,
    });
  }
  if (inside.length === 0 || layered.length === 0) return inside.length > 0;
  throw refused('internal-snapshots', {
    attempted: attempt(input),
    now:
      `some are inside of images (${names(inside)}), others are layers (${names(layered)}); ` +
      'nothing was touched',
    next: 'Delete those of each kind by their names, leaves first',
  });
}

type Chains = (disk: string) => Promise<Chain>;

/** Each disk is looked at once. */
function createChains(deps: HostDeps, input: DeleteSnapshotInput, uuid: string): Chains {
  const known = new Map<string, Promise<Chain>>();
  return (disk) => {
    const { vm, host } = input;
    const look = () =>
      observeChain(deps, { vm, disk, host }, uuid).catch(refuseMissingLayer(deps, attempt(input)));
    const chain = known.get(disk) ?? look();
    known.set(disk, chain);
    return chain;
  };
}

/**
 * Disks with a layer of the snapshot, and those whose merge has switched but has not ended: its job
 * is in the domain's metadata.
 */
async function disksToMerge(
  input: DeleteSnapshotInput,
  name: string,
  layers: readonly { disk: string; layer: string }[],
  chains: Chains,
): Promise<string[]> {
  const found: string[] = [];
  for (const { disk, layer } of layers) {
    const { volumes, record } = await chains(disk);
    const path = await canonical(layer);
    const isThere = volumes.slice(1).some((volume) => volume.path === path);
    const isLeft = record !== null && record.deletes.some((volume) => volume.path === path);
    if (!isThere && !isLeft) throw otherBranch(input, { name, disk, path });
    found.push(disk);
  }
  return found;
}

/** Those that came with it. */
const layersOf = ({ disks }: Snapshot) =>
  disks.flatMap(({ name: disk, kind, source }) =>
    kind === 'external' && source !== null ? [{ disk, layer: source }] : [],
  );

function otherBranch(
  input: DeleteSnapshotInput,
  { name, disk, path }: { name: string; disk: string; path: string },
) {
  return refused('volume-not-in-chain', {
    attempted: attempt(input),
    now:
      `the layer of snapshot ${name} on ${disk}, ${path}, is not in the chain that the VM runs ` +
      'on: it is of another branch, or gone; nothing was touched',
    next:
      `See ${shell`blockflow snapshot list ${input.vm}`}; ` +
      `${shell`virsh snapshot-delete ${input.vm} ${name} --metadata`} forgets it and keeps ` +
      'every file, and `blockflow rm` then deletes layers of it that nothing needs',
  });
}

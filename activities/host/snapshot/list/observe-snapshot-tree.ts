/** The snapshots of a VM: what libvirt lists, held against the chains that its disks have. */
import { dirname } from 'node:path';
import type { SnapshotQuestion } from '../../../../workflows/snapshot/list/request.ts';
import type { RevertNote } from '../../../../workflows/snapshot/revert/plan.ts';
import type { ListedSnapshot, SnapshotTree } from '../../../../workflows/snapshot/list/schemas.ts';
import { canonical, observeFile } from '../../../adapters/files/files.ts';
import { factsOf, memoryFile, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { HostDeps } from '../../deps.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import { keptLayer, notesIn } from '../../snapshots/revert-notes.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { disksInside, innerOf, lookInside, recordAlone, targetsOf } from '../inside/look-inside.ts';
import { shell } from '../../../../workflows/operation/names.ts';

export async function observeSnapshotTree(
  deps: HostDeps,
  question: SnapshotQuestion,
): Promise<SnapshotTree> {
  const { vm, chains, faults, ...domains } = await lookInside(deps, question);
  const targets = targetsOf(domains);
  const { name, uuid, state, stateReason } = vm;
  const paths = chains.flatMap(({ volumes }) => volumes.map(({ path }) => path));
  const recorded = recordAlone(domains).flatMap(({ chain }) => chain);
  const inRecord = await Promise.all(recorded.map(({ path }) => canonical(path)));
  const [snapshots, current, notes] = await Promise.all([
    observeSnapshots(deps, uuid),
    deps.libvirt.currentSnapshot(uuid),
    notesIn(new Set(paths.map((path) => dirname(path))), vm),
  ]);
  const layers = await Promise.all(snapshots.flatMap(layersOf).map(canonical));
  return {
    vm: { name, uuid, state, stateReason },
    host: question.host,
    snapshots: await Promise.all(
      snapshots.map((each) =>
        listed(each, { vm: name, current, targets, chains, inRecord, notes }),
      ),
    ),
    unnamedLayers: chains.flatMap((chain) => unnamedLayers(chain, new Set(layers))),
    unlistedInternal: chains.flatMap((chain) => unlistedInternal(chain, snapshots)),
    faults,
  };
}

const layersOf = ({ disks }: Snapshot) =>
  disks.flatMap(({ kind, source }) => (kind === 'external' && source !== null ? [source] : []));

interface Surroundings {
  vm: string;
  current: string | null;
  /** Disks that the VM has. */
  targets: readonly string[];
  chains: readonly Chain[];
  /** Layers of disks that the VM's record alone has. */
  inRecord: readonly string[];
  notes: readonly RevertNote[];
}

async function listed(snapshot: Snapshot, surroundings: Surroundings): Promise<ListedSnapshot> {
  const { vm, current, chains } = surroundings;
  const { name } = snapshot;
  const { takenAtSeconds, ...facts } = factsOf(snapshot);
  const disks = await Promise.all(
    snapshot.disks.map((disk) => diskOf(snapshot, disk, surroundings)),
  );
  const file = memoryFile(snapshot);
  const memory = file === null ? null : await observeFile(file);
  const lost = disks.filter(
    ({ disk, kind, inside }) =>
      kind === 'internal' && inside.length === 0 && chains.some((one) => one.disk === disk),
  );
  const faults = [
    ...disks.flatMap(({ disk, layer, found }) =>
      found === 'gone' ? [`its layer of ${disk}, ${layer}, does not exist`] : [],
    ),
    ...(file !== null && !memory ? [`its memory, ${file}, does not exist`] : []),
    ...lost.map(({ disk }) => `no image in the chain of ${disk} has it inside`),
    ...(lost.length > 0 && disks.some(({ inside }) => inside.length > 0)
      ? [
          `only some disks have it: ${shell`blockflow snapshot delete ${vm} ${name}`} ` +
            'deletes the rest',
        ]
      : []),
    ...disks.flatMap(({ disk, inside }) =>
      inside.length < 2
        ? []
        : [`${disk} has ${inside.length} of that name inside: ${inside.map(idWords).join(', ')}`],
    ),
  ];
  return {
    name,
    ...facts,
    takenAt: takenAtSeconds === null ? null : new Date(takenAtSeconds * 1000).toISOString(),
    kind: kindOf(disks),
    memoryFile: file,
    isCurrent: name === current,
    disks,
    allocatedBytes: disks.reduce(
      (sum, disk) => sum + disk.allocatedBytes,
      memory?.allocatedBytes ?? 0,
    ),
    faults,
  };
}

const idWords = ({ id }: { id: string }) => `id ${id}`;

async function diskOf(
  { name }: Snapshot,
  { name: disk, kind, source }: Snapshot['disks'][number],
  { targets, chains, inRecord, notes }: Surroundings,
): Promise<ListedSnapshot['disks'][number]> {
  const known = kind as ListedSnapshot['disks'][number]['kind'];
  if (known !== 'external' || source === null) {
    const chain = known === 'internal' ? chains.find((one) => one.disk === disk) : undefined;
    const inside = chain ? innerOf(chain).filter((inner) => inner.name === name) : [];
    return {
      ...{ disk, kind: known, layer: null, found: null, allocatedBytes: 0 },
      inside: inside.map(({ path, id, memoryBytes }) => ({ path, id, memoryBytes })),
    };
  }
  const [path, file, kept] = await Promise.all([
    canonical(source),
    observeFile(source),
    keptLayer(source, notes),
  ]);
  const chain = chains.find((one) => one.volumes.some((volume) => volume.path === path));
  // The chain of a disk that the record alone has is not looked at while the VM runs.
  const isInChain = chain !== undefined || (file !== null && inRecord.includes(path));
  const there = targets.includes(disk) ? 'elsewhere' : 'detached';
  const found = isInChain ? 'in chain' : file ? there : kept ? 'kept' : 'gone';
  const { allocatedBytes } = file ?? kept ?? { allocatedBytes: 0 };
  return { disk, kind: known, layer: source, found, allocatedBytes, inside: [] };
}

function kindOf(disks: ListedSnapshot['disks']): ListedSnapshot['kind'] {
  const [kind, ...others] = new Set(disks.map((disk) => disk.kind).filter((k) => k !== 'no'));
  if (kind === undefined) return 'none';
  return others.length > 0 || kind === 'manual' ? 'mixed' : kind;
}

/** The base is of the VM itself; what is above came with a snapshot, perhaps without metadata. */
const unnamedLayers = ({ disk, volumes }: Chain, named: ReadonlySet<string>) =>
  volumes
    .slice(1)
    .filter(({ path }) => !named.has(path))
    .map(({ path, allocatedBytes }) => ({ disk, path, allocatedBytes }));

function unlistedInternal(chain: Chain, snapshots: readonly Snapshot[]) {
  const { disk } = chain;
  const names = snapshots
    .filter((snapshot) => disksInside(snapshot).includes(disk))
    .map(({ name }) => name);
  return innerOf(chain)
    .filter(({ name }) => !names.includes(name))
    .map(({ path, id, name, takenSeconds, memoryBytes }) => ({
      ...{ disk, path, id, name, memoryBytes },
      takenAt: new Date(takenSeconds * 1000).toISOString(),
    }));
}

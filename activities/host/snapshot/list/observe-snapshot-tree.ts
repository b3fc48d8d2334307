/** The snapshots of a VM: what libvirt lists, held against the chains that its disks have. */
import type { SnapshotQuestion } from '../../../../workflows/snapshot/list/request.ts';
import type { RevertNote } from '../../../../workflows/snapshot/revert/plan.ts';
import type { ListedSnapshot, SnapshotTree } from '../../../../workflows/snapshot/list/schemas.ts';
import { failureDetails } from '../../../../workflows/operation/failures.ts';
import { canonical, observeFile } from '../../../adapters/files/files.ts';
import { factsOf, memoryFile, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import type { XmlDisk } from '../../../adapters/libvirt-xml/domain-xml.ts';
import type { HostDeps } from '../../deps.ts';
import { LayerMissing } from '../../chain/header-chain.ts';
import { observeChain, observeDomain, type Chain } from '../../chain/observe-chain.ts';
import { keptLayer, revertNotes } from '../../snapshots/revert-notes.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';

export async function observeSnapshotTree(
  deps: HostDeps,
  { vm, host }: SnapshotQuestion,
): Promise<SnapshotTree> {
  const { identity, live, persistentDomain } = await observeDomain(deps, { vm });
  const { uuid, name, state, stateReason } = identity.vm;
  const disks = ((live ?? persistentDomain)?.disks ?? []).filter(isFileBacked);
  const [snapshots, current, notes, looks] = await Promise.all([
    observeSnapshots(deps, uuid),
    deps.libvirt.currentSnapshot(uuid),
    revertNotes({ uuid, live, persistentDomain }),
    Promise.all(disks.map(({ target }) => look(deps, { vm, disk: target, host }, uuid))),
  ]);
  const chains = looks.filter((found) => typeof found !== 'string');
  const layers = await Promise.all(snapshots.flatMap(layersOf).map(canonical));
  return {
    vm: { name, uuid, state, stateReason },
    host,
    snapshots: await Promise.all(snapshots.map((each) => listed(each, { current, chains, notes }))),
    unnamedLayers: chains.flatMap((chain) => unnamedLayers(chain, new Set(layers))),
    unlistedInternal: chains.flatMap((chain) => unlistedInternal(chain, snapshots)),
    faults: looks.filter((found) => typeof found === 'string'),
  };
}

const isFileBacked = ({ device, type, chain }: XmlDisk) =>
  device === 'disk' && (type === 'file' || type === 'volume') && chain.length > 0;

/** The chain of a disk, or why it cannot be read: the other disks are shown all the same. */
function look(
  deps: HostDeps,
  ref: { vm: string; disk: string; host: string },
  uuid: string,
): Promise<Chain | string> {
  return observeChain(deps, ref, uuid).catch((error: unknown) => {
    const failure = failureDetails(error);
    const isLasting = failure?.type === 'Refused' || error instanceof LayerMissing;
    if (!isLasting) throw error;
    return `${ref.disk}: ${failure?.details.now ?? (error as Error).message}`;
  });
}

const layersOf = ({ disks }: Snapshot) =>
  disks.flatMap(({ kind, source }) => (kind === 'external' && source !== null ? [source] : []));

interface Surroundings {
  current: string | null;
  chains: readonly Chain[];
  notes: readonly RevertNote[];
}

async function listed(
  snapshot: Snapshot,
  { current, chains, notes }: Surroundings,
): Promise<ListedSnapshot> {
  const { name } = snapshot;
  const { takenAtSeconds, ...facts } = factsOf(snapshot);
  const disks = await Promise.all(snapshot.disks.map((disk) => diskOf(disk, chains, notes)));
  const file = memoryFile(snapshot);
  const memory = file === null ? null : await observeFile(file);
  const faults = [
    ...disks.flatMap(({ disk, layer, found }) =>
      found === 'gone' ? [`its layer of ${disk}, ${layer}, does not exist`] : [],
    ),
    ...(file !== null && !memory ? [`its memory, ${file}, does not exist`] : []),
    ...disks.flatMap(({ disk, kind }) => {
      const chain = chains.find((one) => one.disk === disk);
      const isLost = kind === 'internal' && chain && !innerOf(chain).some((s) => s.name === name);
      return isLost ? [`no image in the chain of ${disk} has it inside`] : [];
    }),
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

async function diskOf(
  { name: disk, kind, source }: Snapshot['disks'][number],
  chains: readonly Chain[],
  notes: readonly RevertNote[],
): Promise<ListedSnapshot['disks'][number]> {
  const known = kind as ListedSnapshot['disks'][number]['kind'];
  if (known !== 'external' || source === null) {
    return { disk, kind: known, layer: null, found: null, allocatedBytes: 0 };
  }
  const [path, file, kept] = await Promise.all([
    canonical(source),
    observeFile(source),
    keptLayer(source, notes),
  ]);
  const isInChain = chains.some(({ volumes }) => volumes.some((volume) => volume.path === path));
  const found = isInChain ? 'in chain' : file ? 'elsewhere' : kept ? 'kept' : 'gone';
  const { allocatedBytes } = file ?? kept ?? { allocatedBytes: 0 };
  return { disk, kind: known, layer: source, found, allocatedBytes };
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

const innerOf = ({ headers }: Chain) =>
  [...headers].flatMap(([path, { internalSnapshots }]) =>
    internalSnapshots.map((snapshot) => ({ path, ...snapshot })),
  );

function unlistedInternal(chain: Chain, snapshots: readonly Snapshot[]) {
  const { disk } = chain;
  const names = snapshots
    .filter(({ disks }) => disks.some((one) => one.name === disk && one.kind === 'internal'))
    .map(({ name }) => name);
  return innerOf(chain)
    .filter(({ name }) => !names.includes(name))
    .map(({ path, id, name }) => ({ disk, path, id, name }));
}

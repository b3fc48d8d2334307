/** The layers that a snapshot stands for: those in its `<domain>`, unchanged since. */
import { refused } from '../../../../workflows/operation/failures.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import type { RevertSnapshotInput } from '../../../../workflows/snapshot/revert/request.ts';
import { canonical, observeFile } from '../../../adapters/files/files.ts';
import { assertOnlyWriter } from '../../uses/only-writer.ts';
import { assertNotWritten } from '../../uses/writers.ts';
import { layersSayMore } from '../../../adapters/libvirt-xml/disk-element.ts';
import { parseDomain, type XmlDomain } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { domainOf, factsOf, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { isFilePool, observePools, poolNeeded, poolOf } from '../../../adapters/virsh/pools.ts';
import { assertSameBelow } from '../../chain/same-below.ts';
import { readHeaderChain } from '../../chain/header-chain.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { toVolume, type Chain } from '../../chain/observe-chain.ts';
import type { VmLook } from '../../chain/observe-vm.ts';
import { assertStarts } from '../../pools/open-to-qemu.ts';
import { assertSound } from '../../chain/sound-headers.ts';
import type { HostDeps } from '../../deps.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { baseChanged, timeOf } from './below.ts';
import { saysMore } from './says-more.ts';
import { wayBack } from './way-back.ts';
import { inLine } from '../../../../workflows/operation/words.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Based = Pick<Chain, 'disk' | 'volumes' | 'headers'>;

export interface RestorePoint {
  /** The layers of each disk, base-most first. */
  disks: Based[];
  /** Disks that are not part of the snapshot. */
  stay: string[];
  /** Of those that are a file, the layer that they had. */
  stayed: { disk: string; layer: string }[];
  takenAtSeconds: number | null;
  /** Whether it has the guest's memory, which is dropped. */
  memory: boolean;
}

interface Question {
  attempted: string;
  input: RevertSnapshotInput;
  vm: VmLook;
}

/** What a clock may be off, and a QEMU take to end its last write. */
const GRACE_SECONDS = 60;

/**
 * @throws Refused: unknown-snapshot, internal-snapshots, unsupported-format, disks-changed,
 * broken-chain, outside-pools, volume-in-use, corrupt-image, base-changed
 */
export async function observeRestorePoint(
  deps: HostDeps,
  question: Question,
  name: string,
): Promise<RestorePoint> {
  const { attempted, vm } = question;
  const snapshot = await find(deps, question, name);
  const { takenAtSeconds } = factsOf(snapshot);
  const xml = await assertExternal(deps, question, snapshot);
  const domain = parseDomain(xml, snapshot.pools);
  assertSameDisks(question, snapshot.name, domain);
  const pools = await observePools(deps.libvirt);
  const disks: Based[] = [];
  const parts = snapshot.disks.filter(({ kind }) => kind === 'external').map((disk) => disk.name);
  for (const disk of parts) {
    const found = domain.disks.find(({ target }) => target === disk);
    if (!found) throw refusal(attempted, `its record does not say what ${disk} was`);
    const ref = { vm: vm.name, disk, host: deps.host };
    const headers = await readHeaderChain(ref, found).catch(refuseMissingLayer(deps, attempted));
    const isOdd = found.oddElements.length > 0 || [...headers.values()].some((h) => h.encrypted);
    if (isOdd || layersSayMore(xml, disk)) throw saysMore(attempted, disk);
    const volumes = await Promise.all(
      [...headers].map(([path, header]) => toVolume(path, header, found, pools)),
    );
    const based = { disk, volumes, headers };
    await assertSameBelow(attempted, based, volumes.at(-1) as Volume);
    await assertAsThen(attempted, based, takenAtSeconds);
    const base = volumes.at(-1) as Volume;
    const pool = poolOf(pools, base.path);
    if (!pool || !isFilePool(pool)) throw outsidePools(attempted, base);
    await assertStarts(deps, attempted, { path: base.path, vm: vm.uuid, disk, isModel: true });
    disks.push(based);
  }
  await assertOnlyWriter(deps, {
    attempted,
    volumes: disks.flatMap(({ volumes }) => volumes),
    owner: { uuid: vm.uuid, disks: parts },
  });
  const others = domain.disks.filter(({ target }) => !parts.includes(target));
  const layers = others.map(async ({ target: disk, chain }) => {
    const layer = chain.at(-1)?.path;
    return layer === undefined ? [] : [{ disk, layer: await canonical(layer) }];
  });
  return {
    disks,
    stay: others.map(({ target }) => target),
    stayed: (await Promise.all(layers)).flat(),
    takenAtSeconds,
    memory: factsOf(snapshot).memory !== 'no',
  };
}

async function find(deps: HostDeps, { attempted, vm }: Question, name: string) {
  const all = await observeSnapshots(deps, vm.uuid);
  const snapshot = all.find((each) => each.name === name);
  if (snapshot) return snapshot;
  throw refused('unknown-snapshot', {
    attempted,
    now: `libvirt lists ${inLine(all.map((one) => one.name).join(', ')) || 'no snapshots'}`,
    next: `See ${shell`blockflow snapshot list ${vm.name}`}`,
  });
}

/** @returns the VM as it was then, as a document */
async function assertExternal(
  deps: HostDeps,
  { attempted, input, vm }: Question,
  snapshot: Snapshot,
): Promise<string> {
  const { name } = snapshot;
  const inside = snapshot.disks.filter(({ kind }) => kind === 'internal' || kind === 'manual');
  if (inside.length > 0) {
    const isManual = inside.some(({ kind }) => kind === 'manual');
    const disks = inside.map((disk) => disk.name);
    throw refused('internal-snapshots', {
      attempted,
      now: `snapshot ${name} is inside of the images of ${disks.join(', ')}; nothing was done`,
      next: await wayBack(deps, { attempted, vm: vm.name, name, disks, isManual }),
    });
  }
  const { memory } = factsOf(snapshot);
  if (memory !== 'no' && !input.dropMemory) {
    throw refusal(
      attempted,
      `snapshot ${name} has the guest's memory, which blockflow cannot restore`,
      'With --drop-memory the disks go back, and the guest boots from them as after a power cut',
    );
  }
  const xml = domainOf(snapshot);
  if (xml !== null && snapshot.disks.some(({ kind }) => kind === 'external')) return xml;
  throw refusal(attempted, `libvirt's record of ${name} does not say which layers it has`);
}

const refusal = (attempted: string, now: string, next = 'Go back by hand, or choose another one') =>
  refused('unsupported-format', { attempted, now: `${now}; nothing was done`, next });

/** Of a VM with other disks the result would be neither what it was nor what it is. */
function assertSameDisks({ attempted, vm }: Question, name: string, then: XmlDomain): void {
  const targets = (domain: XmlDomain | null) =>
    (domain?.disks ?? []).filter(({ device }) => device === 'disk').map(({ target }) => target);
  const [before, now] = [targets(then), targets(vm.persistentDomain)];
  const added = now.filter((disk) => !before.includes(disk));
  const removed = before.filter((disk) => !now.includes(disk));
  if (added.length + removed.length === 0) return;
  const words = [
    ...added.map((disk) => `${disk} was added`),
    ...removed.map((disk) => `${disk} was removed`),
  ];
  throw refused('disks-changed', {
    attempted,
    now: `the VM has other disks than at snapshot ${name}: ${words.join(', ')}; nothing was done`,
    next: 'Make them the same first (`virsh detach-disk`, `virsh attach-disk`, with --config)',
  });
}

/** Neither written since, nor now. */
async function assertAsThen(
  attempted: string,
  { volumes, headers }: Based,
  takenAt: number | null,
) {
  const layers = [...headers].map(([path, header]) => ({ path, header }));
  assertSound(attempted, layers.slice(-1));
  for (const { path } of volumes) {
    const facts = await observeFile(path);
    if (!facts) throw new Error(`${path} disappeared while it was observed`);
    const modified = BigInt(facts.modifiedNs) / 1_000_000_000n;
    if (takenAt !== null && modified <= BigInt(takenAt + GRACE_SECONDS)) continue;
    const then = takenAt === null ? 'an unknown time' : new Date(takenAt * 1000).toISOString();
    const now = `${path} was changed at ${timeOf(facts.modifiedNs)}`;
    throw baseChanged(attempted, `${now}, and the snapshot was taken at ${then}`);
  }
  // A VM whose record does not name them may have them open.
  await assertNotWritten(attempted, volumes, 'writing');
}

const outsidePools = (attempted: string, { path }: Volume) =>
  refused('outside-pools', {
    attempted,
    now: `${path}, a layer of the snapshot, is not in any active storage pool of folders`,
    next: poolNeeded(path),
  });

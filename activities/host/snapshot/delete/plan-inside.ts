/** Which images have a snapshot inside that a request deletes, and what libvirt knows of it. */
import type { NamedVolume } from '../../../../workflows/chain/references.ts';
import { refused } from '../../../../workflows/operation/failures.ts';
import type { GoingSnapshot, InnerPart } from '../../../../workflows/snapshot/delete/plan.ts';
import type { DeleteSnapshotInput } from '../../../../workflows/snapshot/delete/request.ts';
import { deleteWords } from '../../../../workflows/snapshot/delete/words.ts';
import { factsOf, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { nameVolume } from '../../../pool-folder/id.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import { refuseMissingLayer } from '../../chain/missing-layer.ts';
import { observeChain, type Chain } from '../../chain/observe-chain.ts';
import type { HostDeps } from '../../deps.ts';
import { assertRedefinable } from '../../snapshots/redefinable.ts';
import { assertLive } from '../inside/assert-live.ts';
import {
  disksInside,
  innerOf,
  lookInside,
  type Inner,
  type Inside,
} from '../inside/look-inside.ts';
import { assertDiskReady } from '../planning/guards.ts';
import { shell } from '../../../../workflows/operation/names.ts';

interface Question {
  attempted: string;
  input: DeleteSnapshotInput;
  inside: Inside;
  /** All that libvirt lists. */
  all: readonly Snapshot[];
}

/**
 * @param names in the order of their deletion
 * @throws Refused: unknown-snapshot, unknown-disk, internal-snapshots, unsupported-format,
 * vm-running, managed-save, and what the guards of a disk say
 */
export async function planInside(
  deps: HostDeps,
  { attempted, input, all }: Omit<Question, 'inside'>,
  names: readonly string[],
): Promise<GoingSnapshot[]> {
  const inside = await lookInside(deps, input);
  const { vm } = inside;
  const question = { attempted, input, all, inside };
  if (vm.state === 'off' && inside.managedSave) throw refusedManagedSave(attempted, vm.name);
  const snapshots: GoingSnapshot[] = [];
  for (const name of names) snapshots.push(await goingOf(deps, question, name));
  const parts = snapshots.flatMap((snapshot) => snapshot.inside?.parts ?? []);
  for (const disk of new Set(parts.map((part) => part.disk))) {
    const chain = inside.chains.find((one) => one.disk === disk);
    if (chain) await assertDiskReady(deps, attempted, chain, 'Delete it by hand');
  }
  return snapshots;
}

async function goingOf(deps: HostDeps, question: Question, name: string): Promise<GoingSnapshot> {
  const { attempted, input, inside, all } = question;
  const listed = all.find((snapshot) => snapshot.name === name);
  const recorded = listed ? disksInside(listed) : [];
  await assertReadable(deps, question, input.only ? [input.only.disk] : recorded);
  const found = inside.chains.map((chain) => ({ chain, inner: wantedIn(question, chain, name) }));
  const parts = await Promise.all(
    found.flatMap(({ chain, inner }) => inner.map((one) => partOf(chain, one))),
  );
  if (parts.length === 0 && (input.only || recorded.length === 0)) throw unknown(question, name);
  if (parts.length > 0 && inside.vm.state !== 'off') {
    await assertLive(deps, { attempted, name, inside, parts, listed });
    if (!listed) await assertRedefinable(deps, attempted, inside.vm.uuid, [name]);
  }
  const seconds = (listed && factsOf(listed).takenAtSeconds) ?? parts[0]?.takenSeconds ?? null;
  return {
    name,
    takenAt: seconds === null ? null : new Date(seconds * 1000).toISOString(),
    disks: [],
    memory: null,
    inside: {
      parts,
      gone: input.only ? [] : recorded.filter((d) => !parts.some(({ disk }) => disk === d)),
      images: await imagesOf(inside.chains, { recorded, parts }),
      record: recordAfter(question, { name, recorded, parts }),
      warnings: parts.flatMap((part) => warningsOf(inside.chains, part)),
    },
  };
}

/** Those of this name; of several in one disk only the one that the handle means. */
function wantedIn({ attempted, input, inside }: Question, chain: Chain, name: string): Inner[] {
  const { only } = input;
  if (only && only.disk !== chain.disk) return [];
  const format = chain.volumes.at(-1)?.format;
  if (only && only.handle.format !== format) {
    throw refused('unsupported-format', {
      attempted,
      now: `disk ${chain.disk} is ${format}, and the handle says ${only.handle.format}`,
      next: `Name it as ${shell`blockflow snapshot list ${inside.vm.name}`} does`,
    });
  }
  const inner = innerOf(chain).filter((one) => one.name === name);
  const wanted = only ? inner.filter(({ id }) => id === only.handle.id) : inner;
  const [first, other] = wanted;
  if (!first || !other) return wanted;
  const words = wanted.map(({ id, path }) => `id ${id} in ${path}`).join(', ');
  const handle = { ...first, format: 'qcow2' as const };
  const one = { ...input, name, scope: 'snapshot', only: { disk: chain.disk, handle } } as const;
  throw refused('internal-snapshots', {
    attempted,
    now: `disk ${chain.disk} has several of the name ${name} inside: ${words}; nothing was touched`,
    next: only
      ? 'They are in different layers: delete one by hand (`qemu-img snapshot -d`)'
      : `Name one: \`blockflow ${deleteWords(one)}\``,
  });
}

async function partOf(chain: Chain, { path, id, name, takenSeconds }: Inner): Promise<InnerPart> {
  const volume = chain.volumes.find((one) => one.path === path);
  if (!volume) throw new Error(`${path} is not in the chain of ${chain.disk}`);
  return {
    disk: chain.disk,
    volume: await nameVolume(volume),
    handle: { format: 'qcow2', id, name },
    takenSeconds,
  };
}

/** What is inside of a disk that cannot be read is unknown. @throws the reason */
async function assertReadable(
  deps: HostDeps,
  { attempted, input, inside }: Question,
  disks: readonly string[],
): Promise<void> {
  for (const disk of disks) {
    if (inside.chains.some((chain) => chain.disk === disk)) continue;
    const ref = { vm: inside.vm.name, disk, host: input.host };
    await observeChain(deps, ref, inside.vm.uuid).catch(refuseMissingLayer(deps, attempted));
  }
}

/** It is of the disks that it names, and goes with the last of them. */
function recordAfter(
  { inside }: Question,
  { name, recorded, parts }: { name: string; recorded: string[]; parts: InnerPart[] },
) {
  if (recorded.length === 0) return 'none';
  const isGoing = (disk: string, { id, path }: Inner) =>
    parts.some((part) => part.disk === disk && part.handle.id === id && part.volume.path === path);
  const stays = inside.chains.some(
    (chain) =>
      recorded.includes(chain.disk) &&
      innerOf(chain).some((one) => one.name === name && !isGoing(chain.disk, one)),
  );
  return stays ? 'stays' : 'goes';
}

/** Those that have it, or may have had it. */
async function imagesOf(
  chains: readonly Chain[],
  { recorded, parts }: { recorded: string[]; parts: InnerPart[] },
): Promise<NamedVolume[]> {
  const gone = chains.filter(
    ({ disk }) => recorded.includes(disk) && !parts.some((part) => part.disk === disk),
  );
  const active = gone.flatMap(({ volumes }) =>
    volumes.slice(-1).filter(({ format }) => format === 'qcow2'),
  );
  return [...parts.map(({ volume }) => volume), ...(await Promise.all(active.map(nameVolume)))];
}

function warningsOf(chains: readonly Chain[], { disk, volume: { path } }: InnerPart): string[] {
  const active = chains.find((chain) => chain.disk === disk)?.volumes.at(-1)?.path;
  if (active === path) return [];
  const words = `${path} is below other layers of ${disk}, and this changes its file`;
  return [`${words}: going back to a snapshot that stands on it is refused afterwards`];
}

function unknown({ attempted, input, inside, all }: Question, name: string) {
  const { only, vm } = input;
  const there = inside.chains.flatMap((chain) =>
    only && only.disk !== chain.disk
      ? []
      : innerOf(chain).map(({ id, name: n }) => `${n} (id ${id})`),
  );
  const names = there.join(', ') || 'no snapshot';
  const listed = all.map((one) => one.name).join(', ') || 'no snapshots';
  return refused('unknown-snapshot', {
    attempted,
    now: only
      ? `${only.disk} has ${names} inside, and none with name ${name} and id ${only.handle.id}`
      : `libvirt lists ${listed}, and the images have ${names} inside`,
    next: `See ${shell`blockflow snapshot list ${vm}`}`,
  });
}

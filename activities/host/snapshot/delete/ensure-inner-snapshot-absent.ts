/**
 * One image has a snapshot inside no more. Only the image says so: tools and libvirt report success
 * also when QEMU has refused.
 */
import { dirname } from 'node:path';
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import { givenUp, hold, refused } from '../../../../workflows/operation/failures.ts';
import { operationId } from '../../../../workflows/chain/references.ts';
import type { snapshotDeletionOnHost } from '../../../../workflows/snapshot/delete/activities.ts';
import { deleteInner } from '../../../adapters/copying-daemon/inner-snapshots.ts';
import { whileOpen } from '../../../adapters/copying-daemon/open-images.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { buildSnapshotRecord } from '../../../adapters/libvirt-xml/overlaid.ts';
import { readXml } from '../../../adapters/libvirt-xml/xml.ts';
import { CommandError } from '../../../adapters/process/command.ts';
import { readHeader } from '../../../adapters/qemu-img/qemu-img.ts';
import { identityIn } from '../../../pool-folder/id.ts';
import { untilSettled } from '../../../door/polling.ts';
import { refusedManagedSave } from '../../chain/managed-save.ts';
import { observeChain } from '../../chain/observe-chain.ts';
import { lookAtVm } from '../../chain/observe-vm.ts';
import type { HostDeps } from '../../deps.ts';
import { inTurn } from '../../snapshots/in-turn.ts';
import { observeSnapshots } from '../../snapshots/snapshots.ts';
import { assertLive } from '../inside/assert-live.ts';
import { lookInside } from '../inside/look-inside.ts';
import { shell } from '../../../../workflows/operation/names.ts';

type Input = InputOf<typeof snapshotDeletionOnHost, 'ensureInnerSnapshotAbsent'>;
type Done = ResultOf<typeof snapshotDeletionOnHost, 'ensureInnerSnapshotAbsent'>;

/** An attempt of an agent that was taken for dead may still be at work: one after the other. */
export const ensureInnerSnapshotAbsent = (deps: HostDeps, input: Input): Promise<Done> =>
  inTurn(input.vmUuid, () => remove(deps, input));

async function remove(deps: HostDeps, input: Input): Promise<Done> {
  const before = await allocated(input);
  const said = (await isThere(input)) ? await removeByState(deps, input) : null;
  if (await isThere(input)) throw stillThere(input, said ?? 'nothing');
  return { regainedBytes: Math.max(0, before - (await allocated(input))) };
}

const attempt = ({ vm, part }: Input) => `deleting ${wordsOf(part)} of VM ${vm}`;
const wordsOf = ({ disk, handle: { id, name } }: Input['part']) =>
  `snapshot ${name} (id ${id}) inside of ${disk}`;
const target = ({ vm, part }: Input) =>
  `${operationId({ vm, disk: part.disk })} ${part.handle.id} ${part.handle.name}`;

/** By id, name and time: an id is given again. @throws Hold when it is another file */
async function isThere(input: Input): Promise<boolean> {
  const { handle, takenSeconds, volume } = input.part;
  const [facts, planned] = await Promise.all([
    observeFile(volume.path),
    identityIn(dirname(volume.path), volume),
  ]);
  if (!facts || facts.identity !== planned) throw otherFile(input);
  const { internalSnapshots } = await readHeader(volume.path, 'qcow2');
  return internalSnapshots.some(
    (one) => one.id === handle.id && one.name === handle.name && one.takenSeconds === takenSeconds,
  );
}

const allocated = async ({ part }: Input) =>
  (await observeFile(part.volume.path))?.allocatedBytes ?? 0;

/** Looks for an image that no process has open, half a second apart. */
const PATIENCE = 6;

/** @returns what libvirt or QEMU said against it */
async function removeByState(deps: HostDeps, input: Input): Promise<string | null> {
  const { doubts, said } = await untilSettled(PATIENCE, async () => {
    const { state } = await look(deps, input);
    if (state !== 'off') return { doubts: [], said: await removeOfRunning(deps, input) };
    await assertOfDisk(deps, input);
    const done = await removeOfStopped(deps, input);
    return done ?? { doubts: [`some process has ${input.part.volume.path} open`], said: null };
  });
  const [open] = doubts;
  if (open === undefined) return said;
  throw refused('volume-in-use', {
    attempted: attempt(input),
    now: `${open}, although the VM is down; this image was not touched`,
    next: 'End that use, then repeat the request',
  });
}

/** A plan alone is no proof of whose image it is. @throws Hold `identity-changed` */
async function assertOfDisk(deps: HostDeps, input: Input): Promise<void> {
  const { vm, vmUuid, part } = input;
  const ref = { vm, disk: part.disk, host: deps.host };
  const { volumes } = await observeChain(deps, ref, vmUuid);
  if (!volumes.some(({ path }) => path === part.volume.path)) throw otherFile(input);
}

const look = (deps: HostDeps, input: Input) =>
  lookAtVm(deps, { uuid: input.vmUuid, name: input.vm }, attempt(input));

/** QEMU's locks keep the VM from starting. @returns null when another process has the image */
function removeOfStopped(deps: HostDeps, input: Input) {
  const { volume, handle } = input.part;
  return whileOpen([{ node: 'image', path: volume.path }], async (ask) => {
    const { state, managedSave } = await look(deps, input);
    if (state !== 'off') return null;
    if (managedSave) throw refusedManagedSave(attempt(input), input.vm);
    // Another attempt may have deleted it meanwhile, and ids are given again.
    if (!(await isThere(input))) return { doubts: [] as string[], said: null };
    const said = await deps.effect('image.delete-snapshot', target(input), () =>
      deleteInner(ask, 'image', handle),
    );
    return { doubts: [] as string[], said };
  });
}

/** One that libvirt does not list is made known first. */
async function removeOfRunning(deps: HostDeps, input: Input): Promise<string | null> {
  const { vm, vmUuid, part, parts } = input;
  const { name } = part.handle;
  const inside = await lookInside(deps, { vm, host: deps.host }, vmUuid);
  const all = await observeSnapshots(deps, vmUuid);
  const listed = all.find((snapshot) => snapshot.name === name);
  await assertLive(deps, { attempted: attempt(input), name, inside, parts, listed });
  if (!listed) {
    const record = buildSnapshotRecord(
      {
        ...{ name, description: '', createdAt: part.takenSeconds, wasRunning: true, disks: [] },
        inside: parts.map(({ disk }) => disk),
      },
      null,
      readXml(await deps.libvirt.wholeXml(vmUuid, 'live'), 'domain'),
    );
    await deps.effect('libvirt.redefine-snapshot', `${vm} ${name}`, () =>
      deps.libvirt.redefineSnapshot(vmUuid, record),
    );
  }
  return deps.effect('libvirt.delete-snapshot', `${vm} ${name}`, () =>
    deps.libvirt.deleteSnapshot(vmUuid, name).then(
      () => null,
      (error: unknown) => {
        if (error instanceof CommandError) return error.stderr;
        throw error;
      },
    ),
  );
}

function stillThere(input: Input, said: string) {
  const { path } = input.part.volume;
  return givenUp({
    attempted: attempt(input),
    now: `${path} still has it; what libvirt or QEMU said: ${said}`,
    next: 'Repeat the request; while the VM runs, shut it down first',
  });
}

const otherFile = (input: Input) =>
  hold('identity-changed', {
    attempted: attempt(input),
    now: `${input.part.volume.path} is not the file that was planned; it was not touched`,
    next:
      `Compare with ${shell`blockflow chain ${input.vm}/${input.part.disk}`}, repeat the ` +
      'request',
  });

/** What must hold before the image of a running VM may be moved, and what its new top is to be. */
import type { Conversion, LiveTop } from '../../../../workflows/transfer/plan.ts';
import { refused, type RefusalCode } from '../../../../workflows/operation/failures.ts';
import type { PlanRequest } from '../../../../workflows/transfer/request.ts';
import { inLine } from '../../../../workflows/operation/words.ts';
import { layersSayMore } from '../../../adapters/libvirt-xml/disk-element.ts';
import type { XmlDisk } from '../../../adapters/libvirt-xml/domain-xml.ts';
import { readDomain } from '../../../adapters/virsh/pools.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { stagedFile } from '../../../pool-folder/reservation.ts';
import type { HostDeps } from '../../deps.ts';
import type { Chain } from '../../chain/observe-chain.ts';
import type { Image } from '../../chain/observe-image.ts';
import { checkpointsOf } from '../../chain/checkpoints-of.ts';
import { assertResumable } from '../../pivot/lock-manager.ts';
import { isEnding } from '../../pivot/look-at-disk.ts';
import { mayBeCopy } from '../../pivot/our-mirror.ts';
import type { EarlierRun } from './earlier-runs.ts';
import { attempt, mergeCommand } from './guards.ts';
import { shell } from '../../../../workflows/operation/names.ts';

/** The chain of an image that a VM has open; null for any other. */
export const runningChain = ({ chain }: Image): Chain | null =>
  chain && chain.vm.state !== 'off' ? chain : null;

interface Obstacle {
  code: RefusalCode;
  now: string;
  next: string;
}

const SHUT_DOWN = 'Shut the VM down first, then repeat the request';

/** What a mirror of the active layer cannot do, or would lose. */
export async function assertMirrorable(
  deps: HostDeps,
  request: PlanRequest,
  image: Image,
): Promise<void> {
  const chain = runningChain(image);
  assertDecision(request, chain !== null);
  if (!chain) return;
  const xml = (await deps.libvirt.currentXml(chain.vm.uuid)) ?? '';
  const found =
    optionObstacle(request) ??
    diskObstacle(chain, layersSayMore(xml, chain.disk)) ??
    layerObstacle(image) ??
    (await checkpointObstacle(deps, request, image));
  if (!found) return assertResumable(attempt(request), chain.vm);
  const { code, now, next } = found;
  throw refused(code, { attempted: attempt(request), now: `${now}; nothing was done`, next });
}

function assertDecision(request: PlanRequest, isRunning: boolean): void {
  if (request.operation !== 'MoveImage') return;
  if (!request.waitForDecision && !request.keepsSource) return;
  const fail = (now: string, next: string) =>
    refused('invalid-request', {
      attempted: attempt(request),
      now: `${now}; nothing was done`,
      next,
    });
  const { onVmStop, withOthers } = request;
  if (isRunning && withOthers) return;
  if (withOthers) {
    if (onVmStop === 'continue' && !request.keepsSource) return;
    const now = 'the VM has stopped since the move of its disks was planned';
    throw fail(now, 'Repeat the request: it works with the VM down or running');
  }
  if (onVmStop === 'continue') {
    const now = '--on-vm-stop continue would take the decision that --wait-for-decision waits for';
    throw fail(now, 'Leave one of the options out');
  }
  if (isRunning) return;
  const now = '--wait-for-decision needs a running VM: a cold copy has no READY';
  throw fail(now, 'Leave it out, or start the VM first');
}

function optionObstacle({ preallocation }: PlanRequest): Obstacle | null {
  if (preallocation === 'off') return null;
  const now =
    'the VM runs, and --preallocation is for a VM that is down: what a mirror copies as zeros ' +
    'takes no space';
  return { code: 'vm-running', now, next: 'Leave it out, or shut the VM down first' };
}

function diskObstacle({ disk, xmlDisk, isRecorded }: Chain, saysMore: boolean): Obstacle | null {
  const { readOnly, shareable, transient, copyOnRead, type } = xmlDisk;
  if (!isRecorded) {
    const now = `disk ${disk} is attached to the running VM only: no record could name the copy`;
    return { code: 'not-persistent', now, next: 'Attach it with --config, too' };
  }
  if (readOnly) {
    const now = `disk ${disk} is read-only for the VM, so QEMU does not mirror it`;
    return { code: 'read-only-disk', now, next: SHUT_DOWN };
  }
  if (transient) {
    const now = `disk ${disk} is <transient/>: libvirt discards its overlay when the VM stops`;
    return { code: 'transient-disk', now, next: SHUT_DOWN };
  }
  if (shareable) {
    const now = `disk ${disk} is <shareable/>: a mirror does not see what other VMs write`;
    return { code: 'unsupported-format', now, next: SHUT_DOWN };
  }
  if (copyOnRead) {
    // The mirror takes the place of libvirt's filter, which keeps the source open.
    const now = `disk ${disk} has copy_on_read: QEMU would not close its source after the switch`;
    return { code: 'unsupported-format', now, next: SHUT_DOWN };
  }
  if (type !== 'file') {
    const now = `the source of disk ${disk} is of type ${type}, and libvirt would not record it`;
    return { code: 'unsupported-format', now, next: SHUT_DOWN };
  }
  if (!saysMore) return null;
  const now = `the source of disk ${disk} has more than a file (a label, a secret or a cache)`;
  return {
    code: 'unsupported-format',
    now: `${now}, which a mirror does not keep`,
    next: SHUT_DOWN,
  };
}

function layerObstacle({ volumes, ref }: Image): Obstacle | null {
  const locked = volumes.find(({ header }) => header.encrypted);
  if (locked) {
    const now = `${locked.path} is encrypted, and blockflow has no key for its mirror`;
    return { code: 'unsupported-format', now, next: SHUT_DOWN };
  }
  const top = volumes.at(-1);
  const snapshots = top?.header.internalSnapshots.map(({ name }) => name) ?? [];
  if (snapshots.length > 0) {
    const names = snapshots.join(', ');
    const now = `a mirror would lose the internal snapshots of ${top?.path}: ${names}`;
    return { code: 'internal-snapshots', now, next: `Delete them first. ${SHUT_DOWN}` };
  }
  const bitmaps = top?.header.bitmaps.map(({ name }) => name) ?? [];
  if (bitmaps.length === 0) return null;
  const now = `a mirror would lose the dirty bitmaps of ${top?.path}: ${bitmaps.join(', ')}`;
  const merge = mergeCommand(ref);
  return { code: 'dirty-bitmaps', now, next: `Delete their checkpoints or \`${merge}\` first` };
}

/** libvirt takes dirty bitmaps along into a qcow2 copy. */
async function checkpointObstacle(
  deps: HostDeps,
  request: PlanRequest,
  image: Image,
): Promise<Obstacle | null> {
  const chain = runningChain(image);
  if (!chain || request.format !== 'raw' || image.volumes.at(-1)?.format === 'raw') return null;
  const lost = await checkpointsOf(deps, chain.vm.uuid, chain.disk);
  if (lost.length === 0) return null;
  return {
    code: 'dirty-bitmaps',
    now: `a raw copy would lose the dirty bitmaps of its checkpoints ${inLine(lost.join(', '))}`,
    next: 'Delete them first (`virsh checkpoint-delete`), or keep its format',
  };
}

/**
 * The job whose mirror runs on the disk, null without one. One that ends is for the step that
 * begins the mirror to look at.
 * @throws Refused `foreign-job`
 */
export async function mirroringRun(
  deps: HostDeps,
  request: PlanRequest,
  chain: Chain,
  runs: readonly EarlierRun[],
): Promise<string | null> {
  const { vm, disk, xmlDisk } = chain;
  const job = await deps.libvirt.blockJob(vm.uuid, disk);
  // One that has begun since the chain was read is in the XML only now.
  const mirror = xmlDisk.mirror ?? (job && (await mirrorNow(deps, chain)));
  if (!job && !mirror) return null;
  const file = mayBeCopy(mirror) ? await observeFile(mirror.path) : null;
  for (const { plan, jobId } of file ? runs : []) {
    const { name } = plan.volumes.at(-1) ?? { name: '' };
    const top = await observeFile(stagedFile(plan.to.folder, jobId, name, 'ready'));
    if (top?.identity === file?.identity) return jobId;
  }
  if (isEnding(xmlDisk)) return null;
  throw refused('foreign-job', {
    attempted: attempt(request),
    now: `another job runs on the disk: ${job?.type ?? mirror?.job}; it was not touched`,
    next: `See ${shell`virsh blockjob ${vm.name} ${disk}`}; end it, or wait until it has ended`,
  });
}

async function mirrorNow({ libvirt }: HostDeps, { vm, disk }: Chain): Promise<XmlDisk['mirror']> {
  const xml = await libvirt.currentXml(vm.uuid);
  const domain = xml === null ? null : await readDomain(libvirt, xml);
  return domain?.disks.find(({ target }) => target === disk)?.mirror ?? null;
}

/** Of a mirror: what QEMU is asked for once, at its start. */
export const writesOf = (request: PlanRequest) =>
  request.operation === 'MoveImage' && request.synchronousWrites;

/** Whether the mirror of an earlier run serves: QEMU does not change how one writes. */
export const goesOn = (
  run: EarlierRun | null,
  mirroredBy: string | null,
  { synchronousWrites }: Pick<LiveTop, 'synchronousWrites'>,
): boolean =>
  run !== null &&
  run.jobId === mirroredBy &&
  run.plan.live?.synchronousWrites === synchronousWrites;

/** The header of the copy of the active layer, and how it is written. */
export function topShape(
  { volumes }: Image,
  backing: LiveTop['backing'],
  { convert, writes: synchronousWrites }: { convert: Conversion | null; writes: boolean },
): Omit<LiveTop, 'isMirrored'> {
  const { virtualSizeBytes, special: all } = volumes.at(-1)?.header ?? { special: [] };
  // Of qcow2's tables: a raw copy has none.
  const special = convert?.format === 'raw' ? [] : all;
  const valueOf = (option: string) =>
    special.find((one) => one.startsWith(`${option}=`))?.slice(option.length + 1);
  const cluster = valueOf('cluster_size');
  return {
    virtualSizeBytes: virtualSizeBytes ?? 0,
    backing,
    clusterBytes: cluster === undefined ? null : Number(cluster),
    extendedL2: valueOf('extended_l2') === 'on',
    synchronousWrites,
  };
}

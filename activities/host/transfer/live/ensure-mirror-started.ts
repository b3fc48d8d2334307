/** Start-or-attach of the mirror of a running VM's active layer. */
import type { InputOf, ResultOf } from '../../../../workflows/operation/activities.ts';
import type { transferOnHost } from '../../../../workflows/transfer/activities.ts';
import { copiesOf, formatOf } from '../../../../workflows/transfer/copied.ts';
import { activityInfo } from '@temporalio/activity';
import { operationId } from '../../../../workflows/chain/references.ts';
import { CommandError, saidIn } from '../../../adapters/process/command.ts';
import { copyTargetXml } from '../../../adapters/libvirt-xml/disk-element.ts';
import { isStillEmpty } from '../../../adapters/qemu-img/empty-image.ts';
import { madeForJob } from '../../../pool-folder/made-for-job.ts';
import { assertReserved } from '../../../pool-folder/presence.ts';
import type { HostDeps } from '../../deps.ts';
import type { DiskSwitch } from '../../pivot/disk-switch.ts';
import { lookAndGiveBack } from '../../pivot/give-back-guest.ts';
import { assertActive } from '../../pivot/holds.ts';
import { hasSwitched } from '../../pivot/look-at-disk.ts';
import { isOurMirror } from '../../pivot/our-mirror.ts';
import { isKept, otherSource, switchOf, topFile, topOf } from './look.ts';

type Input = InputOf<typeof transferOnHost, 'ensureMirrorStarted'>;
type Outcome = ResultOf<typeof transferOnHost, 'ensureMirrorStarted'>;

/**
 * A mirror of ours that runs is attached to. Into a file that another mirror has written none is
 * started: what that one wrote and the guest has discarded since would be there again.
 */
export async function ensureMirrorStarted(deps: HostDeps, input: Input): Promise<Outcome> {
  const change = await switchOf(input);
  await assertReserved(input, change.attempted);
  const look = await lookAndGiveBack(deps, change);
  if (await isKept(deps, change, input)) return { outcome: 'kept' };
  if (look.isReloaded) {
    const reason = 'libvirtd had died in the pivot, so the VM was saved and started again';
    return { outcome: 'lost', reason };
  }
  if (hasSwitched(look, change)) return { outcome: 'finished' };
  if (look.state === 'off') return { outcome: 'vm-stopped', reason: look.stateReason };
  if (await isOurMirror(change, look.disk)) return { outcome: 'started' };
  const active = await otherSource(change, look.disk);
  if (active !== null) return { outcome: 'busy', reason: `the VM runs on ${active} now` };
  const other = await deps.libvirt.blockJob(change.vmUuid, change.disk);
  if (other) return { outcome: 'busy', reason: `another job began on the disk: ${other.type}` };
  if (!(await isNew(input))) return { outcome: 'lost', reason: 'no mirror runs (any more)' };
  const { name } = topOf(input);
  if ((await madeForJob({ to: input.plan.to, jobId: input.jobId, name })) !== change.to.identity) {
    return { outcome: 'lost', reason: `${change.to.path} is not the file that was made for it` };
  }
  return start(deps, input, change, look.disk?.cache ?? null);
}

/**
 * An attempt before this one may have started a mirror, which has ended. Where the agent was
 * unavailable, or the step was stuck, attempts are counted from one again, so the file is asked,
 * too: it has the format of the copy.
 */
async function isNew({ isNewTop, ...job }: Input): Promise<boolean> {
  if (!isNewTop || activityInfo().attempt > 1) return false;
  return isStillEmpty(topFile(job, 'ready'), formatOf(topOf(job)));
}

async function start(
  deps: HostDeps,
  input: Input,
  change: DiskSwitch,
  cache: string | null,
): Promise<Outcome> {
  const { bandwidthBytesPerSecond: rate, plan } = input;
  const args = [
    ...(copiesOf(plan).length > 1 ? ['--shallow'] : []),
    ...(plan.live?.synchronousWrites ? ['--synchronous-writes'] : []),
    ...(rate > 0 ? ['--bytes', '--bandwidth', String(rate)] : []),
  ];
  // Of qcow2's tables: a raw copy has none.
  const target = copyTargetXml(change.to, change.to.format === 'qcow2' ? cache : null);
  try {
    await deps.effect('libvirt.start-mirror', operationId(change), () =>
      deps.libvirt.startMirror(change.vmUuid, change.disk, target, args),
    );
    return { outcome: 'started' };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    assertActive(`mirroring ${operationId(change)}`, change.vm, error.stderr);
    return { outcome: 'lost', reason: saidIn(error.stderr) };
  }
}

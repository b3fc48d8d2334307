/** The point of no return of a cold merge: the one record that names top names base instead. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type { mergeOnHost } from '../../../workflows/merge/activities.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import { vmGone } from '../../../workflows/operation/failures.ts';
import { whileHeld } from '../../adapters/qemu-img/qemu-img.ts';
import { orRefused } from '../../door/lasting.ts';
import type { HostDeps } from '../deps.ts';
import { topModified } from './ensure-cold-committed.ts';
import { wasSaved } from '../chain/managed-save.ts';
import { hasSwitched, lookAtDisk } from '../pivot/look-at-disk.ts';
import { switchRecord } from '../pivot/switch-record.ts';
import { assertOfDisk } from './own-chain.ts';
import { switchOf } from './observe-disk.ts';
import { relativeName, writeBackingName } from '../chain/backing-name.ts';

type Input = InputOf<typeof mergeOnHost, 'ensureColdSwitched'>;
type Outcome = ResultOf<typeof mergeOnHost, 'ensureColdSwitched'>;

/**
 * For the active layer the persistent XML is switched to base; for an inner one the overlay's
 * header is, and an explicit chain in the XML is dropped, since it beats the header
 * (docs/lab/libvirt.md).
 * @returns `vm-started` when the VM ran since the commit: top may be newer than base then, and is
 * kept; `refused` for good, by libvirt say.
 */
export async function ensureColdSwitched(deps: HostDeps, input: Input): Promise<Outcome> {
  const { plan } = input;
  const change = switchOf(plan);
  // An overlay's header may have been switched.
  const isUntouched = async () =>
    plan.overlay === null && !hasSwitched(await lookAtDisk(deps, change), change);
  return orRefused(() => switchHeld(deps, input), isUntouched);
}

async function switchHeld(deps: HostDeps, input: Input): Promise<Outcome> {
  const { plan } = input;
  // Between the check and the switch no user may start the VM, write to top and stop it again.
  const outcome = await whileHeld(plan.top.path, async () => {
    const stale = await staleness(deps, input);
    if (stale) return stale;
    await assertOfDisk(deps, plan);
    if (plan.overlay) await switchHeader(deps, input);
    const change = switchOf(plan);
    await switchRecord(deps, plan.overlay ? { ...change, to: null } : change, '--current');
    return { outcome: 'committed', topModifiedNs: input.topModifiedNs } as const;
  });
  return outcome ?? { outcome: 'vm-started', reason: `some process has ${plan.top.path} open` };
}

async function staleness(deps: HostDeps, { plan, topModifiedNs }: Input) {
  const change = switchOf(plan);
  const look = await lookAtDisk(deps, change);
  if (!look.persistent) {
    const truth = `${plan.base.path} holds the data of ${plan.top.path}, and both files stay`;
    throw vmGone(`switching ${operationId(plan)} to ${plan.base.path}`, plan.vm, truth);
  }
  const usesTop = look.disk?.chain.some((volume) => volume.path === plan.top.path) ?? false;
  if (look.state !== 'off' && usesTop) {
    return { outcome: 'vm-started', reason: look.stateReason } as const;
  }
  // It ran, wrote nothing to top, and was saved: by the name of top, unless that was gone already.
  if (look.managedSave && !hasSwitched(look, change)) {
    return { outcome: 'vm-started', reason: wasSaved(plan.vm) } as const;
  }
  const modified = topModifiedNs !== '' && (await topModified(plan)) !== topModifiedNs;
  return modified
    ? ({ outcome: 'vm-started', reason: `${plan.top.path} was written since its commit` } as const)
    : null;
}

async function switchHeader(deps: HostDeps, { plan, keepRelative }: Input): Promise<void> {
  const { overlay, base } = plan;
  if (!overlay) return;
  const name = keepRelative ? relativeName(overlay, base) : base.path;
  const { path, format } = overlay;
  await writeBackingName(deps, { path, format, backing: { name, format: base.format } });
}

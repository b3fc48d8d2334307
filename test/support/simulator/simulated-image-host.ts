/** The host agent's activities on images, over VMs in memory. */
import type { InputOf, ResultOf } from '../../../workflows/operation/activities.ts';
import type {
  transferOnHost,
  HoldOutcome,
  ImageJob,
} from '../../../workflows/transfer/activities.ts';
import { Context } from '@temporalio/activity';
import type { HostActivities } from '../../../activities/host/index.ts';
import type { removalOnHost } from '../../../workflows/removal/activities.ts';
import { hold, poolAway } from '../../../workflows/operation/failures.ts';
import type { ImagePlan } from '../../../workflows/transfer/plan.ts';
import { imageId } from '../../../workflows/chain/references.ts';
import { BLOCKS } from './simulated-content.ts';
import { imagePlanOf, removalPlanOf } from './simulated-image-plan.ts';
import {
  advanceCopies,
  identityOf,
  isThere,
  isWritten,
  manifestOf,
  staged,
} from './simulated-images.ts';
import { again, passStrike } from './simulated-switch.ts';
import type { RealOnly } from './simulated-host.ts';
import type { OfMirror } from './live/simulated-mirror.ts';
import type { SimulatedVm } from './simulated-vm.ts';
import { until, type Implementations } from './simulated-waits.ts';

type Simulated =
  | Exclude<keyof typeof transferOnHost, RealOnly | OfMirror>
  | keyof typeof removalOnHost
  | 'awaitPool';

export const imageHost: Implementations<Pick<HostActivities, Simulated>> = {
  observeImagePlan: (vm, request) => imagePlanOf(vm, request),
  observeRemovalPlan: (vm, input) => removalPlanOf(vm, input),
  ensureImageHeld: (vm, job) => ensureHeld(vm, job),
  ensureVolumeCopied: (vm, input) => copied(vm, input),
  ensureVolumeVerified(vm, { plan, jobId, at }) {
    assertReserved(vm, { plan, jobId });
    const { path, name } = plan.volumes[at] as ImagePlan['volumes'][number];
    const of = (stage: 'copied' | 'ready') => staged(plan.to.pool, jobId, name, stage);
    if (isThere(vm, of('ready'))) return { same: true, reason: 'verified before' };
    if (!vm.content.isSame(path, of('copied'))) return { same: false, reason: 'it differs' };
    vm.files.rename(of('copied'), of('ready'));
    passStrike();
    return { same: true, reason: 'compared' };
  },
  ensureBackingNames(vm, { plan, jobId }) {
    assertReserved(vm, { plan, jobId });
    for (const { name, rebase } of plan.volumes) {
      if (!rebase) continue;
      vm.files.setBacking(staged(plan.to.pool, jobId, name, 'ready'), rebase.name);
      passStrike();
    }
  },
  ensureCopyBandwidth: () => undefined,
  ensureRecordSwitched: (vm, job) => switched(vm, job),
  awaitPool: (vm, { to: { pool }, jobId, until: wanted }) =>
    until(vm, () => {
      const isMounted = wanted === 'mounted' && !vm.images.away.has(pool);
      return isMounted || isThere(vm, manifestOf(pool, jobId)) ? undefined : null;
    }),
  ensureImageReleased: (vm, { jobId }) => void vm.images.copiers.delete(jobId),
  ensureEarlierReleased(vm, { image, keep }) {
    for (const { workflow, jobId, plan } of vm.images.reservations.values()) {
      const isSeen = workflow === imageId(image) && !vm.images.away.has(plan.to.pool);
      if (!isSeen || jobId === keep) continue;
      vm.images.copiers.delete(jobId);
      const { pool } = plan.to;
      const top = staged(pool, jobId, plan.volumes.at(-1)?.name ?? '', 'ready');
      if (vm.mirror && vm.mirror.identity === vm.files.identity(top)) vm.mirror = null;
    }
  },
};

export function assertReserved(vm: SimulatedVm, { plan, jobId }: ImageJob): void {
  if (isThere(vm, manifestOf(plan.to.pool, jobId))) return;
  throw away(plan.to.folder);
}

export const away = (folder: string) =>
  poolAway({
    attempted: 'copying',
    now: `${folder} does not hold what was reserved there`,
    next: 'Mount it',
  });

/** Of a running VM all but the active layer, which QEMU writes. */
export function ensureHeld(vm: SimulatedVm, { plan, jobId }: ImageJob): HoldOutcome {
  const { copiers } = vm.images;
  const still = plan.live ? plan.volumes.slice(0, -1) : plan.volumes;
  vm.advance();
  if (!copiers.has(jobId)) {
    const bad = still.find(({ path }) => !isThere(vm, path) || isWritten(vm, path));
    if (bad) return { outcome: 'in-use', reason: `${bad.path}: Failed to get "write" lock` };
    const held = still.map(({ path }) => vm.files.identity(path) ?? '');
    copiers.set(jobId, { held, copies: new Map() });
    vm.effects.push('hold');
    passStrike();
  }
  for (const { path, identity, modifiedNs } of still) {
    const isSame = String(vm.content.layer(path).writes) === modifiedNs;
    if (identityOf(vm, path) === identity && isSame) continue;
    return { outcome: 'changed', reason: `${path} was written meanwhile` };
  }
  return { outcome: 'held' };
}

/** A copy goes on without its agent; one that has the next name is complete, from any run. */
async function copied(
  vm: SimulatedVm,
  input: InputOf<typeof transferOnHost, 'ensureVolumeCopied'>,
): Promise<ResultOf<typeof transferOnHost, 'ensureVolumeCopied'>> {
  const { plan, jobId, at, verify } = input;
  const { path, name } = plan.volumes[at] as ImagePlan['volumes'][number];
  const of = (stage: 'part' | 'copied' | 'ready') => staged(plan.to.pool, jobId, name, stage);
  const held = ensureHeld(vm, input);
  if (held.outcome !== 'held') return held;
  assertReserved(vm, input);
  if (isThere(vm, of('copied')) || isThere(vm, of('ready'))) {
    return { outcome: 'copied', by: 'earlier run' };
  }
  const copies = () => vm.images.copiers.get(jobId)?.copies;
  if (!copies()?.has(of('part'))) {
    vm.content.clear(of('part'));
    const backing = vm.files.backing(path);
    vm.files.setBacking(of('part'), backing);
    copies()?.set(of('part'), { from: path, atMs: vm.machine.now(), blocks: 0 });
    vm.effects.push('copy');
  }
  await until(vm, () => {
    advanceCopies(vm);
    const copy = copies()?.get(of('part'));
    if (!copy) throw again(`the daemon that copies ${path} died`);
    if (copy.blocks === BLOCKS.length) return undefined;
    assertReserved(vm, input);
    return null;
  });
  passStrike();
  assertReserved(vm, input);
  vm.files.rename(of('part'), of(verify === 'full' ? 'copied' : 'ready'));
  copies()?.delete(of('part'));
  passStrike('agent late');
  Context.current().heartbeat({});
  return { outcome: 'copied', by: 'mirror' };
}

const targetOf = ({ to, volumes }: ImagePlan) => `${to.folder}/${volumes.at(-1)?.name ?? ''}`;

/** The record decides; the snapshots follow, in a step of their own. */
function switched(
  vm: SimulatedVm,
  job: ImageJob,
): ResultOf<typeof transferOnHost, 'ensureRecordSwitched'> {
  const { plan } = job;
  if (!plan.vm) return { outcome: 'switched' };
  const active = vm.persistentPaths().at(-1);
  if (active !== targetOf(plan)) {
    if (active !== plan.volumes.at(-1)?.path) throw elsewhere(active);
    const held = ensureHeld(vm, job);
    if (held.outcome === 'held' && vm.images.isAway(targetOf(plan))) {
      return { outcome: 'pool-away', reason: `pool ${plan.to.pool} is unavailable` };
    }
    const isOff = vm.state === 'off';
    const gone = isOff ? goneCopy(vm, job) : `VM is ${vm.state}`;
    const obstacle = held.outcome === 'held' ? gone : held.reason;
    if (obstacle) vm.switchRefused = true;
    if (obstacle) return { outcome: 'not-switched', reason: obstacle };
    if (!isThere(vm, targetOf(plan))) vm.violations.push('the record is switched to nothing');
    vm.persistent = vm.volumes(targetOf(plan));
    vm.effects.push('switch');
    passStrike();
  }
  const old = plan.volumes.find(({ path }) => path === vm.snapshotSource);
  if (old) vm.snapshotSource = `${plan.to.folder}/${old.name}`;
  passStrike('agent late');
  return { outcome: 'switched' };
}

export function goneCopy(vm: SimulatedVm, { plan, jobId }: ImageJob): string | null {
  const isGone = ({ name }: { name: string }) => {
    const path = `${plan.to.folder}/${name}`;
    const ready = staged(plan.to.pool, jobId, name, 'ready');
    return !isThere(vm, path) || identityOf(vm, path) !== identityOf(vm, ready);
  };
  const gone = plan.volumes.find(isGone);
  return gone ? `${plan.to.folder}/${gone.name} is not the copy that was made` : null;
}

const elsewhere = (active: string | undefined) =>
  hold('divergent-chain', {
    attempted: 'switching the record',
    now: `it names ${active}; both are kept`,
    next: 'Compare',
  });

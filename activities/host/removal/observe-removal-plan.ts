/**
 * Plans the removal of an image: proves that nothing refers to it any more (I3), and refuses
 * otherwise.
 */
import { dirname, join } from 'node:path';
import { codeOf, END_PROCESS, endOfUse } from '../../../workflows/chain/other-hosts.ts';
import { refused, type RefusalCode } from '../../../workflows/operation/failures.ts';
import type { RemovalPlan } from '../../../workflows/removal/plan.ts';
import type { RemoveImageInput } from '../../../workflows/removal/request.ts';
import type { NamedVolume } from '../../../workflows/chain/references.ts';
import { canonical, listFolder, observeFile } from '../../adapters/files/files.ts';
import { finalName, reservationFolder, reservedFiles } from '../../pool-folder/reservation.ts';
import { findOpener } from '../../adapters/files/open-files.ts';
import { observePools } from '../../adapters/virsh/pools.ts';
import { lookedAt, nameVolume } from '../../pool-folder/id.ts';
import { isUnlocked } from '../../adapters/qemu-img/qemu-img.ts';
import { belongsToAnother, isManifest } from '../../pool-folder/owner.ts';
import { untilSettled } from '../../door/polling.ts';
import { onThisHost, whileMounted } from '../../pool-folder/presence.ts';
import type { HostDeps } from '../deps.ts';
import { assertChangeable, assertUsable } from '../pools/usable-folders.ts';
import { observeReferences } from '../uses/references.ts';
import { observeImage } from '../chain/observe-image.ts';
import { otherHosts } from '../uses/observe-uses.ts';
import { identitiesOf } from '../uses/volume-users.ts';

/** Looks before a doubt about what a move left becomes a failure: its hold may just be ending. */
const PATIENCE = 30;

export async function observeRemovalPlan(
  deps: HostDeps,
  input: RemoveImageInput,
): Promise<RemovalPlan> {
  const whole = await toRemove(deps, input);
  const isLeft = input.left !== null || input.copies !== null;
  // Before the locks are asked, which takes files that may be written.
  const folders = input.copies ? [] : whole.map(({ path }) => dirname(path));
  await assertUsable(deps, attempt(input), folders);
  await assertChangeable(attempt(input), whole);
  const look = async (volumes: readonly NamedVolume[]) => {
    const use = await observeUse(deps, volumes);
    const found = use.obstacle ?? (input.copies ? null : await unfinished(volumes));
    return { ...use, obstacle: found, doubts: found ? [found.now] : [] };
  };
  const { here, stays, obstacle, warnings } = isLeft
    ? { here: whole, stays: [], ...(await untilSettled(PATIENCE, () => look(whole))) }
    : await unusedPart(whole, look);
  if (obstacle) {
    throw refused(obstacle.code, {
      attempted: attempt(input),
      now: `${obstacle.now}; nothing was deleted`,
      next: `${obstacle.next}, then repeat the request`,
    });
  }
  const facts = await Promise.all(here.map((volume) => observeFile(volume.path)));
  // Copies are deleted with their reservation, which is in no pool's folder itself.
  const volumes = await Promise.all(here.map(input.copies ? lookedAt : nameVolume));
  const totalBytes = facts.reduce((sum, file) => sum + (file?.allocatedBytes ?? 0), 0);
  const sharedWith = await otherHosts(deps, volumes);
  return { volumes, totalBytes, sharedWith, warnings: [...stays, ...warnings] };
}

interface Look {
  uses: readonly { path: string }[];
  obstacle: { code: RefusalCode; now: string; next: string } | null;
  warnings: string[];
}

/**
 * An image may stand on what others need, as a clone does on its template, or a snapshot's layer on
 * those of another one: that stays. What is above it goes.
 */
async function unusedPart(
  whole: readonly NamedVolume[],
  look: (volumes: readonly NamedVolume[]) => Promise<Look>,
) {
  let here = whole;
  const stays: string[] = [];
  for (;;) {
    const found = await look(here);
    if (!found.obstacle) return { here, stays, ...found };
    const used = await Promise.all(found.uses.map(({ path }) => canonical(path)));
    const highest = here.findLastIndex(({ path }) => used.includes(path));
    // Nothing goes where it is the active layer, or a process, which may end soon.
    if (highest < 0 || highest === here.length - 1) return { here, stays, ...found };
    const [base, ...others] = here.slice(0, highest + 1).map(({ path }) => path);
    const below = others.length === 0 ? base : `${base} and ${others.length} above it`;
    stays.push(`${below} stays: ${found.obstacle.now}`);
    here = here.slice(highest + 1);
  }
}

const attempt = ({ pool, volume }: RemoveImageInput) => `removing image ${pool}/${volume}`;

function toRemove(deps: HostDeps, input: RemoveImageInput): Promise<NamedVolume[]> {
  if (input.copies) return copiesOf(input.copies);
  return input.left ? stillThere(input.left.volumes) : wholeImage(deps, input);
}

/** By their final names, those that have them; none where another run goes on with them. */
async function copiesOf({ to, jobId, owners }: NonNullable<RemoveImageInput['copies']>) {
  const job = { plan: { to }, jobId };
  return whileMounted(job, `looking for the copies of job ${jobId}`, async () => {
    const folder = reservationFolder(to.folder, jobId);
    const staged = (await belongsToAnother(folder, owners)) ? [] : await listFolder(folder);
    const copies = staged.map(async (name) => {
      const [reserved, final] = [join(folder, name), finalName(to.folder, name)];
      const [file, named] = await Promise.all([observeFile(reserved), observeFile(final)]);
      if (!file || isManifest(name)) return [];
      const path = named?.identity === file.identity ? final : reserved;
      return [{ path, pool: to.pool, identity: file.identity }];
    });
    return (await Promise.all(copies)).flat();
  });
}

/** A name that now belongs to another file is not ours to look at. */
async function stillThere(named: readonly NamedVolume[]): Promise<NamedVolume[]> {
  const here = named.map((volume) => onThisHost(volume, `looking for ${volume.path}`));
  const volumes = await Promise.all(here);
  const facts = await Promise.all(volumes.map((volume) => observeFile(volume.path)));
  return volumes.filter((volume, i) => facts[i]?.identity === volume.identity);
}

async function wholeImage(deps: HostDeps, input: RemoveImageInput): Promise<NamedVolume[]> {
  const { pool, volume, format } = input;
  const image = await observeImage(deps, { kind: 'volume', pool, volume, format });
  return image.volumes;
}

async function observeUse(deps: HostDeps, volumes: readonly NamedVolume[]) {
  const pools = await observePools(deps.libvirt);
  const { uses, warnings } = await observeReferences(deps, { volumes, pools, owner: null });
  const [use] = uses;
  const named = use && {
    code: codeOf(use),
    now: `${use.path} is used by ${use.by}`,
    next: endOfUse(use),
  };
  return { uses, obstacle: named ?? (await observeOpeners(volumes)), warnings };
}

async function observeOpeners(volumes: readonly NamedVolume[]) {
  const open = (now: string) => ({ code: 'volume-in-use' as const, now, next: END_PROCESS });
  for (const { path } of volumes) {
    // QEMU's locks show also those of other hosts.
    if (!(await isUnlocked(path))) return open(`some process has ${path} open`);
  }
  const opener = await findOpener(identitiesOf(volumes));
  if (!opener) return null;
  const opened = volumes.find(({ identity }) => identity === opener.identity);
  return open(`${opener.by} has ${opened?.path} open`);
}

/** A copy can have its name while no VM uses it: the record is still to be switched to it. */
async function unfinished(volumes: readonly NamedVolume[]) {
  const folders = [...new Set(volumes.map(({ path }) => dirname(path)))];
  const reserved = (await Promise.all(folders.map(reservedFiles))).flat();
  const facts = await Promise.all(reserved.map((file) => observeFile(file)));
  for (const { path, identity } of volumes) {
    const at = facts.findIndex((file) => file?.identity === identity);
    if (at < 0) continue;
    const now = `${path} is a copy that is being made (${reserved[at]})`;
    const next = 'Wait for the operation that makes it, or repeat that one';
    return { code: 'other-operation' as const, now, next };
  }
  return null;
}

/** Checks what the demo promises, on the disk and on the host, and says each figure. */
import { access } from 'node:fs/promises';
import type { ChainObservation } from '../../client/index.ts';
import { chainWords } from '../../client/cli/render/merge-result.ts';
import { sizeWords } from '../../workflows/operation/words.ts';
import { activeLayer } from '../support/scenes/merge-scene.ts';
import { qemuIo } from '../support/guest/disks/guest-disk.ts';
import type { Guest } from '../support/guest/guest.ts';
import { expectNoLoss, verifyGuestData } from '../support/guest/oracle.ts';
import type { StretchReport } from './ack-watch-thread.ts';
import type { Followed } from './follow.ts';
import { DELTA_BYTES, DELTA_PATTERN, DISK, VM, type Stage } from './stage.ts';
import type { Story } from './story.ts';

/** How many writes the guest had acknowledged at each moment. */
export interface Counts {
  atSnapshot: number;
  atMerge: number;
  atEnd: number;
}

export interface Evidence {
  followed: Followed;
  before: ChainObservation;
  after: ChainObservation;
  counts: Counts;
  gapsMs: StretchReport;
}

/** @throws Error with a sentence for the first promise that does not hold. */
export async function prove(story: Story, stage: Stage, evidence: Evidence): Promise<void> {
  const { followed, after } = evidence;
  const { result } = followed;
  const [base, overlay] = stage.chain;
  demand(followed.killed !== null, 'the copy was over before the host agent could be killed');
  demand(followed.wentOn, 'the restarted host agent was not seen to go on with the merge');
  demand(result.outcome === 'merged', `the merge ended as "${result.outcome}"`);
  demand(result.warnings.length === 0, `the merge has warnings: ${result.warnings.join('; ')}`);
  demand(
    after.volumes.map((volume) => volume.path).join() === base,
    `the chain is ${pathsOf(after)} after the merge, not ${base} alone`,
  );
  const { disagreements } = after;
  demand(disagreements.length === 0, `the chain's views differ: ${disagreements.join('; ')}`);
  demand(await isAbsent(overlay), `${overlay} is still there`);
  demand((await snapshots(stage)) === '', 'libvirt still lists the snapshot');
  demand(result.stallMs !== null, 'the pause of the guest was not measured');
  demand(
    result.regainedBytes >= DELTA_BYTES,
    `only ${sizeWords(result.regainedBytes)} were regained`,
  );
  const data = await proveGuestData(story, stage);
  tell(story, evidence, data);
}

async function proveGuestData(story: Story, { guest, deltaOffsetBytes }: Stage) {
  await guest.kill();
  story.step(`QEMU is killed with SIGKILL, and the disk that ${VM} would boot now is read:`);
  const { path, format, report } = await proveNoLoss(guest);
  const readDelta = `read -q -P ${DELTA_PATTERN} ${deltaOffsetBytes} ${DELTA_BYTES}`;
  await qemuIo(path, format, [readDelta]).catch((cause: unknown) => {
    throw new Error(`the snapshot's ${sizeWords(DELTA_BYTES)} are not whole in ${path}`, { cause });
  });
  return report;
}

/**
 * Reads the disk that a VM which is down would boot.
 * @throws Error when a write that the guest had acknowledged is not there
 */
export async function proveNoLoss(guest: Guest) {
  const acknowledged = guest.acknowledged();
  const { path, format } = await activeLayer(guest);
  const { parameters } = guest.disk;
  const report = await verifyGuestData({ imagePath: path, format, acknowledged, parameters });
  expectNoLoss(report, guest.serial);
  return { path, format, report };
}

function tell(
  story: Story,
  { followed, before, after, counts, gapsMs }: Evidence,
  data: { verified: number; acknowledged: number; lost: readonly unknown[] },
): void {
  const { result, killed, restarted, killedAtPercent } = followed;
  const ms = (value: number | null) => `${(value ?? 0).toFixed(0)} ms`;
  const { atSnapshot, atMerge, atEnd } = counts;
  const later = data.acknowledged - atEnd;
  story.heading('All promises hold:');
  story.fact('chain before', pathsOf(before));
  story.fact('chain after', pathsOf(after));
  story.fact('', '(base first; live XML, saved XML, image headers and QEMU agree)');
  const agent = `pid ${killed} killed at ${killedAtPercent} %, pid ${restarted} went on`;
  story.fact('host agent', agent);
  story.fact(
    'writes acknowledged',
    `${data.acknowledged}: ${atSnapshot} before the snapshot, ${atMerge - atSnapshot} on it, ` +
      `${atEnd - atMerge} during the merge, ${later} after it`,
  );
  story.fact(
    'writes lost',
    `${data.lost.length}: each of the ${data.verified} places holds the last write ` +
      'acknowledged for it',
  );
  story.fact('', 'and the guest, reading back as it went, never found an older one');
  const all = `all ${sizeWords(DELTA_BYTES)} are in ${chainWords(result.chainAfter)}`;
  story.fact('snapshot data', all);
  story.fact('regained', `${sizeWords(result.regainedBytes)}, the snapshot's file is deleted`);
  story.fact('guest paused by pivot', `${ms(result.stallMs)}, as the agent measured it`);
  story.fact(
    'longest gap in writes',
    `${ms(gapsMs.during)} during the merge, ${ms(gapsMs.before)} before it (seen from outside)`,
  );
}

export function demand(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise);
}

const pathsOf = ({ volumes }: ChainObservation) =>
  volumes
    .map(({ path, allocatedBytes }) => `${chainWords([path])} (${sizeWords(allocatedBytes)})`)
    .join(' ← ');

export const isAbsent = (path: string) =>
  access(path).then(
    () => false,
    () => true,
  );

async function snapshots({ system }: Stage): Promise<string> {
  return (await system.host.virsh('snapshot-list', VM, '--name')).trim();
}

/** Address of the workflow's page. */
export function pageOf({ system }: Stage, runId: string): string {
  const id = encodeURIComponent(`${VM}/${DISK}`);
  return `${system.temporal.uiUrl}/namespaces/default/workflows/${id}/${runId}`;
}

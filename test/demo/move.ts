/** The image moves to a second pool, and the VM boots from there. */
import type { Blockflow } from '../../client/index.ts';
import { openDisplay } from '../../client/cli/show-progress.ts';
import { awaitRemoval } from '../support/host/roles/blockflow-client.ts';
import { demand, isAbsent, proveNoLoss } from './proof.ts';
import { DISK, POOL_AFTER, VM, type Stage } from './stage.ts';
import type { Story } from './story.ts';

/**
 * Ends with a running VM.
 * @throws Error with a sentence for the first promise that does not hold.
 */
export async function moveAndBoot(story: Story, stage: Stage, blockflow: Blockflow): Promise<void> {
  const { guest, chain } = stage;
  const image = { kind: 'disk', vm: VM, disk: DISK } as const;
  const operation = await blockflow.move({ image, to: POOL_AFTER });
  story.step(`Moving while ${VM} is down: blockflow move ${VM} ${DISK} --to ${POOL_AFTER}`);
  const display = await openDisplay({ ...story.screen, print: story.more }, operation.id);
  try {
    for await (const view of operation.progress({ everyMs: 250 })) {
      if (view.state === 'running') display.show(view);
    }
  } finally {
    display.stop();
  }
  const moved = await operation.result();
  demand(moved.outcome === 'moved', `the move ended as "${moved.outcome}"`);
  demand(moved.verified, 'the copy was not compared with its source');
  story.step(`Moved: ${moved.summary}.`);
  const { path, report } = await proveNoLoss(guest);
  demand(path === moved.chainAfter[0], `${VM} would boot from ${path}`);
  await awaitRemoval(blockflow, moved);
  demand(await isAbsent(chain[0]), `${chain[0]} is still there`);
  const boots = guest.serial.boots.length;
  await guest.start();
  await guest.waitForAcks(guest.disk.parameters.slots);
  demand(guest.serial.boots.length === boots + 1, `${VM} did not boot from ${path}`);
  story.heading('And after the move:');
  story.fact('boots from', path);
  const { lost, acknowledged } = report;
  story.fact('writes lost', `${lost.length} of ${acknowledged}, the source is deleted`);
}

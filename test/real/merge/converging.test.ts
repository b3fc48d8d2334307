/** A base slower than the guest's writes: the copy never ends by itself, and says so. */
import { expect, it } from '@jest/globals';
import { startDeltaScene } from '../../support/scenes/transfer/delta-scene.ts';
import { expectMerged, heartbeatNote } from '../../support/scenes/merge-proofs.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const MIB = 2 ** 20;
const system = useSystem();
const forTest = useEach();

it('says that it does not converge, goes on, and ends once it may copy faster', async () => {
  // Each write makes 64 KiB dirty: 6 MiB/s against a limit of 1 MiB/s.
  // A limit holds QEMU back only after its first 16 MiB.
  const scene = await forTest(startDeltaScene(system, { vm: 'busy', bytes: 24 * MIB }));
  const request = { vm: 'busy', disk: 'vda', bandwidthBytesPerSecond: MIB };
  const merge = await system.merge(request);
  const { note, phase } = await untilStatus(merge, 'a note', (status) => status.note !== null);
  expect(note).toMatch(
    /^not converging: the guest makes .*iB\/s dirty, .*\(its limit is 1.0 MiB\/s\)/,
  );
  expect(note).toMatch(/a higher limit would help/);
  expect(phase).toBe('copying');
  await waitUntil('the same in the heartbeat', async () =>
    (await heartbeatNote(merge)).startsWith('not converging'),
  );
  await scene.guest.waitForAcks(100);
  expect((await merge.describe()).status.name).toBe('RUNNING');
  await merge.executeUpdate('bandwidth', { args: [0] });
  await expectMerged(scene, merge);
});

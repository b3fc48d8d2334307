/** One QEMU that stands still delays its own operation, and no other one of its host. */
import { expect, it } from '@jest/globals';
import { findQemu } from '../../../activities/adapters/files/open-files.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { expectMerged, untilPhase } from '../../support/scenes/merge-proofs.ts';
import { SLOW, untilCopying } from '../../support/scenes/copying.ts';
import { startScene, startSharedSystem, type Scene } from '../../support/scenes/merge-scene.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem(() => startSharedSystem({ name: 'hung' }));
const blockflow = use('the client', () => connectTo(system));
const forTest = useEach();
const sceneOf = (vm: string) => forTest(startScene({ system, vm }));

async function qemuOf({ guest }: Scene): Promise<number> {
  const uuid = (await system.host.virsh('domuuid', guest.name)).trim();
  const pid = await findQemu(uuid);
  if (pid === null) throw new Error(`no QEMU of ${guest.name}`);
  return pid;
}

const diskOf = ({ guest }: Scene) => ({ vm: guest.name, disk: 'vda' });
async function mergeToReady(scene: Scene) {
  const merge = await system.merge({ ...diskOf(scene), waitForDecision: true });
  await untilPhase(merge, 'waiting for a decision');
  return merge;
}

it('A QEMU that stands still delays no other merge, is told, and goes on', async () => {
  const [sick, ready, copying] = [await sceneOf('sick'), await sceneOf('b'), await sceneOf('c')];
  const hung = await mergeToReady(sick);
  const other = await mergeToReady(ready);
  const slow = await system.merge({ ...diskOf(copying), bandwidthBytesPerSecond: SLOW });
  await untilCopying(copying);
  const pid = await qemuOf(sick);
  process.kill(pid, 'SIGSTOP');
  try {
    const operation = await blockflow.operation('sick', 'vda');
    const isTold = async () =>
      (await operation.status()).troubles.some((words) => /not answered for \d\d s/.test(words));
    await waitUntil('words about it', isTold, { timeoutMs: 60_000, intervalMs: 500 });
    // Without a beat for so long they would have been begun once more.
    for (const merge of [hung, other, slow]) {
      const { pendingActivities } = (await merge.describe()).raw;
      expect(pendingActivities?.map(({ attempt }) => attempt)).toEqual([1]);
    }
    await other.executeUpdate('decide', { args: ['pivot'] });
    await expectMerged(ready, other);
    await slow.executeUpdate('bandwidth', { args: [0] });
    await expectMerged(copying, slow);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await hung.executeUpdate('decide', { args: ['pivot'] });
  await expectMerged(sick, hung);
  for (const scene of [sick, ready, copying]) await scene.verifyAfterCrash();
});

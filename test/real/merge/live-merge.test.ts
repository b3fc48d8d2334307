import { afterEach, describe, expect, it } from '@jest/globals';
import { startScene, type Scene } from '../../support/scenes/merge-scene.ts';

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

describe('LiveMerge of the active layer', () => {
  it('merges under a writing guest, deletes the overlay, and loses no write', async () => {
    scene = await startScene();
    const { system, guest, chain } = scene;
    const result = await (await system.merge({ vm: 'web1', disk: 'vda' })).result();
    expect(result).toMatchObject({
      outcome: 'merged',
      mode: 'active',
      chainBefore: chain,
      chainAfter: chain.slice(0, 1),
      deleted: chain.slice(1),
      warnings: [],
    });
    expect(result.stallMs).toBeGreaterThan(0);
    expect(await scene.files()).toEqual(['web1.qcow2']);
    await guest.waitForAcks(guest.disk.parameters.slots);
    expect(await system.host.virsh('dumpxml', 'web1')).not.toContain('urn:blockflow');
    expect(await scene.verifyAfterCrash()).toBeGreaterThan(100);
  });

  it('goes on when the host agent is killed half way and started again', async () => {
    scene = await startScene();
    const { system, guest } = scene;
    const merge = await system.merge({ vm: 'web1', disk: 'vda', bandwidthBytesPerSecond: 65536 });
    await guest.waitForAcks(50);
    await system.killRole('host');
    await guest.waitForAcks(50);
    await system.startRole('host');
    await merge.executeUpdate('bandwidth', { args: [0] });
    expect(await merge.result()).toMatchObject({ outcome: 'merged' });
    expect(await scene.files()).toEqual(['web1.qcow2']);
    await scene.verifyAfterCrash();
  });
});

import { describe, expect, it } from '@jest/globals';
import { startScene } from '../../support/scenes/merge-scene.ts';
import { useEach } from '../../support/use.ts';

const forTest = useEach();

describe('LiveMerge of the active layer', () => {
  it('merges under a writing guest, deletes the overlay, and loses no write', async () => {
    const scene = await forTest(startScene());
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
    const scene = await forTest(startScene());
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

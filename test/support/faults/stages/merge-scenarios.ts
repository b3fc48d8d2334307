/** What makes each effect of a merge happen, of a running guest with one volume. */
import { mkdir, writeFile } from 'node:fs/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { pivotResultFile } from '../../../../activities/adapters/virsh/safe-pivot.ts';
import type { EffectName } from '../../../../activities/door/effect.ts';
import { pivotIntoLimbo } from '../struck-libvirtd.ts';
import { waitUntil } from '../../wait-until.ts';
import { addLayer } from '../../guest/disks/layers.ts';
import type { Request } from '../../scenes/merge-checks.ts';
import { SLOW, untilCopying } from '../../scenes/copying.ts';
import type { Scene } from '../../scenes/merge-scene.ts';

export interface Scenario {
  /** Brings a running guest with one volume to where the request is made. */
  prepare(scene: Scene): Promise<Omit<Request, 'vm' | 'disk'>>;
  /** What a user does to the running operation. */
  steer?(scene: Scene, merge: WorkflowHandle): Promise<void>;
  /** How it ends when nothing strikes; a cancelled one has no outcome. */
  ends: { outcome: string; mode: string } | 'cancelled';
}

const LIMITED = { bandwidthBytesPerSecond: SLOW };
const ACTIVE = { outcome: 'merged', mode: 'active' };

/** A layer, and a request that copies it slowly enough to be met at it. */
async function limited(scene: Scene) {
  await addLayer(scene);
  return LIMITED;
}

/** As a pivot's script leaves it that died, and its agent with it. */
export async function leaveSuspended(
  { system, guest }: Pick<Scene, 'system' | 'guest'>,
  reports: Record<string, readonly string[]> = { vda: [] },
): Promise<void> {
  const vmUuid = (await system.host.virsh('domuuid', guest.name)).trim();
  await mkdir(system.runtimeDir, { recursive: true });
  for (const [disk, lines] of Object.entries(reports)) {
    const report = pivotResultFile(system.runtimeDir, { vmUuid, disk });
    const all = [...lines, 'guest=running', 'pivot=unknown', 'resumed=no', ''];
    await writeFile(report, all.join('\n'));
  }
  await system.host.virsh('suspend', guest.name);
}

export const scenarios = {
  active: {
    ends: ACTIVE,
    async prepare(scene) {
      await addLayer(scene);
      return {};
    },
  },
  /**
   * The record of one snapshot goes, and that of another names a layer that goes. With none between
   * them libvirt changes the second one itself when the first goes (docs/lab/libvirt.md).
   */
  snapshots: {
    ends: { outcome: 'merged', mode: 'inner' },
    async prepare(scene) {
      await addLayer(scene, 'one');
      const top = await addLayer(scene);
      await addLayer(scene, 'two');
      return { top };
    },
  },
  bandwidth: {
    ends: ACTIVE,
    prepare: limited,
    async steer(scene, merge) {
      await untilCopying(scene);
      await merge.executeUpdate('bandwidth', { args: [0] });
    },
  },
  cancel: {
    ends: 'cancelled',
    prepare: limited,
    async steer(scene, merge) {
      await untilCopying(scene);
      await merge.cancel();
    },
  },
  cold: {
    ends: { outcome: 'merged', mode: 'cold' },
    async prepare(scene) {
      await addLayer(scene);
      await scene.system.host.virsh('destroy', scene.guest.name);
      return {};
    },
  },
  'cold inner': {
    ends: { outcome: 'merged', mode: 'cold' },
    async prepare(scene) {
      const top = await addLayer(scene);
      await addLayer(scene);
      await scene.system.host.virsh('destroy', scene.guest.name);
      return { top };
    },
  },
  /** An earlier pivot's script, and its agent with it, died while the guest was suspended. */
  suspended: {
    ends: ACTIVE,
    async prepare(scene) {
      await addLayer(scene);
      await leaveSuspended(scene);
      return {};
    },
  },
  /** libvirtd did not survive an earlier pivot, and shows a job that no command ends. */
  limbo: {
    ends: ACTIVE,
    async prepare(scene) {
      const { host } = scene.system;
      await addLayer(scene);
      await host.virsh('blockcommit', scene.guest.name, 'vda', '--active');
      await waitUntil('READY', async () =>
        (await host.virsh('dumpxml', scene.guest.name)).includes("ready='yes'"),
      );
      await leaveSuspended(scene);
      await pivotIntoLimbo(host, scene.guest.name);
      return {};
    },
  },
} satisfies Record<string, Scenario>;
/** The scenario that every effect happens in. A new effect needs one. */
export const scenarioOf: Record<EffectName<'merge'>, keyof typeof scenarios> = {
  'libvirt.record-job': 'active',
  'libvirt.start-commit': 'active',
  'libvirt.set-job-bandwidth': 'bandwidth',
  'libvirt.abort-job': 'cancel',
  'libvirt.pivot': 'active',
  'libvirt.resume-guest': 'suspended',
  'libvirt.reload-guest': 'limbo',
  'libvirt.forget-job': 'active',
  'image.keep-times': 'snapshots',
  'libvirt.redefine-snapshot': 'snapshots',
  'libvirt.delete-snapshot-record': 'snapshots',
  'libvirt.switch-disk-source': 'cold',
  'qemu-img.commit': 'cold',
  'qemu-img.rebase': 'cold inner',
  'storage.quarantine-volume': 'active',
  'storage.unlink-volume': 'active',
  'audit.append-event': 'active',
};

/** Which effects of a move happen where. No scenario is needed to know it. */
import type { EffectName } from '../../../activities/door/effect.ts';

/** Those that only the move of a running VM has. */
export const liveEffects = [
  'image.create-top',
  'libvirt.start-mirror',
  'libvirt.pivot',
  'libvirt.set-job-bandwidth',
  'libvirt.abort-job',
  'libvirt.resume-guest',
  'libvirt.reload-guest',
] as const satisfies EffectName<'move'>[];
export type LiveEffect = (typeof liveEffects)[number];

/** What each disk, or each removal, does alone also where several disks move together. */
export const effectsOfOneDisk = [
  'libvirt.switch-disk-source',
  'image.reflink',
  'image.create-target',
  'image.set-copy-bandwidth',
  'image.resume-copy',
  'storage.quarantine-volume',
  'storage.unlink-volume',
  'storage.abandon-reservation',
  'storage.unlink-copy',
  'storage.wipe-volume',
] as const satisfies EffectName<'move'>[];
type OfOneDisk = (typeof effectsOfOneDisk)[number];
export type DisksEffect = Exclude<EffectName<'move'>, OfOneDisk>;

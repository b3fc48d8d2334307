/**
 * The one door: every change to the outside world goes through `effect(name, target, fn)`. The list
 * of names is the list of crash tests and of rows in DESIGN.md's table, so a new effect is tested
 * without touching a test.
 */
export const effectNames = [
  'libvirt.record-job',
  'libvirt.start-commit',
  'libvirt.set-job-bandwidth',
  'libvirt.abort-job',
  'libvirt.pivot',
  'libvirt.resume-guest',
  'libvirt.forget-job',
  'libvirt.redefine-snapshot',
  'libvirt.delete-snapshot-record',
  'libvirt.switch-disk-source',
  'qemu-img.commit',
  'qemu-img.rebase',
  'storage.quarantine-volume',
  'storage.unlink-volume',
  'audit.append-event',
] as const;
export type EffectName = (typeof effectNames)[number];

/** The effects of moving, copying and removing images, besides those they share with a merge. */
export const imageEffectNames = [
  'image.hold',
  'image.reflink',
  'image.create-target',
  'image.start-copy',
  'image.set-copy-bandwidth',
  'image.resume-copy',
  'image.end-copy',
  'image.complete-copy',
  'image.pass-verification',
  'image.release',
  'storage.reserve-image',
  'storage.name-volume',
  'storage.abandon-reservation',
  'storage.unlink-copy',
  'storage.remove-reservation',
  'storage.wipe-volume',
] as const;
export type ImageEffectName = (typeof imageEffectNames)[number];

export type Effect = <T>(
  name: EffectName | ImageEffectName,
  target: string,
  fn: () => Promise<T>,
) => Promise<T>;

/** Stands in the door around every effect: logging in production, faults in tests. */
export type EffectHook = Effect;

/** Opens a door whose effects pass through the hooks, the first one outermost. */
export function createEffect(hooks: readonly EffectHook[]): Effect {
  return (name, target, fn) =>
    hooks.reduceRight<typeof fn>((inner, hook) => () => hook(name, target, inner), fn)();
}

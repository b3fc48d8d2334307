/**
 * The one door: every change to the outside world goes through `effect(name, target, fn)`. The
 * registry of names is the list of crash tests, and docs/protocol/ describes each name, so a new
 * effect is tested without touching a test.
 */
import { asEffect } from './attempt.ts';

/**
 * Every effect, and the commands (workflows/kinds.ts) of the operations in which it happens; a move
 * includes the removal of its source, or of its copies.
 */
const effects = {
  'libvirt.record-job': ['merge'],
  'libvirt.start-commit': ['merge', 'snapshot delete'],
  'libvirt.set-job-bandwidth': ['merge', 'move'],
  'libvirt.abort-job': ['merge', 'move'],
  'libvirt.pivot': ['merge', 'move', 'snapshot delete'],
  'libvirt.resume-guest': ['merge', 'move', 'snapshot create'],
  'libvirt.reload-guest': ['merge', 'move', 'snapshot create'],
  'guest.thaw': ['snapshot create'],
  'libvirt.forget-job': ['merge'],
  'image.keep-times': ['merge'],
  'libvirt.redefine-snapshot': ['merge', 'move', 'snapshot delete'],
  'libvirt.delete-snapshot-record': ['merge', 'snapshot delete'],
  'libvirt.delete-snapshot': ['snapshot delete'],
  'image.take-snapshots': ['snapshot create'],
  'image.delete-snapshot': ['snapshot create', 'snapshot delete'],
  'image.repair-leaks': ['snapshot create', 'snapshot delete'],
  'libvirt.switch-disk-source': ['merge', 'move'],
  'qemu-img.commit': ['merge'],
  'qemu-img.rebase': ['merge', 'move'],
  'storage.quarantine-volume': ['merge', 'move', 'snapshot delete', 'snapshot revert'],
  'storage.unlink-volume': ['merge', 'move', 'snapshot delete', 'snapshot revert'],
  'audit.append-event': ['merge', 'move', 'snapshot create', 'snapshot delete', 'snapshot revert'],
  'storage.reserve-overlays': ['snapshot create', 'snapshot revert'],
  'libvirt.take-snapshot': ['snapshot create'],
  'libvirt.define-record': ['snapshot create', 'snapshot revert'],
  'libvirt.list-snapshot': ['snapshot create'],
  'libvirt.set-current-snapshot': ['snapshot revert'],
  'libvirt.start-vm': ['snapshot revert'],
  'storage.note-revert': ['snapshot revert'],
  'storage.restore-volume': ['snapshot revert'],
  'storage.reserve-image': ['move'],
  'image.hold': ['move'],
  'image.reflink': ['move'],
  'image.create-target': ['move'],
  'image.start-copy': ['move'],
  'image.set-copy-bandwidth': ['move'],
  'image.resume-copy': ['move'],
  'image.end-copy': ['move'],
  'image.complete-copy': ['move'],
  'image.pass-verification': ['move'],
  'image.create-top': ['move'],
  'libvirt.start-mirror': ['move'],
  'storage.name-volume': ['move', 'snapshot create', 'snapshot revert'],
  'image.release': ['move'],
  'storage.remove-reservation': ['move', 'snapshot create', 'snapshot revert'],
  'storage.abandon-reservation': ['move', 'snapshot revert'],
  'storage.unlink-copy': ['move'],
  'storage.wipe-volume': ['move'],
} as const;
type Effects = typeof effects;

/** What has effects. */
export type Operation = Effects[keyof Effects][number];

/** The effects of one operation, or all. */
export type EffectName<O extends Operation = Operation> = {
  [Name in keyof Effects]: Extract<Effects[Name][number], O> extends never ? never : Name;
}[keyof Effects];

export const effectNames = Object.keys(effects) as EffectName[];
export const effectsOf = <O extends Operation>(operation: O): EffectName<O>[] =>
  effectNames.filter((name): name is EffectName<O> =>
    (effects[name] as readonly Operation[]).includes(operation),
  );

export type Effect = <T>(name: EffectName, target: string, fn: () => Promise<T>) => Promise<T>;

/** Stands in the door around every effect: logging in production, faults in tests. */
export type EffectHook = Effect;

/** Opens a door whose effects pass through the hooks, the first one outermost. */
export function createEffect(hooks: readonly EffectHook[]): Effect {
  return (name, target, fn) =>
    hooks.reduceRight<typeof fn>(
      (inner, hook) => () => hook(name, target, inner),
      () => asEffect(fn),
    )();
}

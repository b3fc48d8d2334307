/**
 * The one door: every change to the outside world goes through `effect(name, target, fn)`. The list of names is the list
 * of crash tests and of rows in DESIGN.md's table, so a new effect is tested without touching a test.
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
  'storage.remove-quarantine',
  'audit.append-event',
] as const;
export type EffectName = (typeof effectNames)[number];

/** Observers of the door: logging in production, faults in tests. A throw in `before` means: never started. */
export interface EffectHook {
  before?(name: EffectName, target: string): Promise<void> | void;
  after?(name: EffectName, target: string): Promise<void> | void;
}

export type Effect = <T>(name: EffectName, target: string, fn: () => Promise<T>) => Promise<T>;

/** Opens a door whose effects pass the hooks in order. */
export function createEffect(hooks: readonly EffectHook[]): Effect {
  return async (name, target, fn) => {
    for (const hook of hooks) await hook.before?.(name, target);
    const result = await fn();
    for (const hook of hooks) await hook.after?.(name, target);
    return result;
  };
}

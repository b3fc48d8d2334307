/** Starts the VM, when it was asked for, on the layers that it has now. */
import type { InputOf } from '../../../../workflows/operation/activities.ts';
import type { revertOnHost } from '../../../../workflows/snapshot/revert/activities.ts';
import { vmGone } from '../../../../workflows/operation/failures.ts';
import { CommandError } from '../../../adapters/process/command.ts';
import type { HostDeps } from '../../deps.ts';
import { provenState } from '../../chain/lost-vm.ts';

type Input = InputOf<typeof revertOnHost, 'ensureVmStarted'>;

/** @returns why it does not run, in libvirt's words; null when it does */
export async function ensureVmStarted(deps: HostDeps, input: Input): Promise<string | null> {
  const { vm: name, vmUuid: uuid } = input;
  const attempted = `starting VM ${name}`;
  const state = () => provenState(deps, { name, uuid }, attempted);
  const before = await state();
  if (before.state !== 'off') return null;
  if (!before.persistent) throw vmGone(attempted, name, 'its files stay as they are');
  try {
    await deps.effect('libvirt.start-vm', name, () => deps.libvirt.start(uuid));
    return null;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return (await state()).state === 'off' ? error.stderr.trim() : null;
  }
}

/** Whether libvirt takes a change of a record: it looks for the VM's emulator each time. */
import { cureOf } from '../../../workflows/operation/cure.ts';
import { refused } from '../../../workflows/operation/failures.ts';
import type { XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';
import { lastingIn } from '../../door/lasting.ts';
import type { HostDeps } from '../deps.ts';
import { shell } from '../../../workflows/operation/names.ts';

/**
 * For a VM that is down: the record of one that runs is QEMU's own matter.
 * @throws Refused `command-failed` for an emulator that is not there (any more)
 */
export async function assertEmulator(
  { libvirt }: HostDeps,
  attempted: string,
  domain: XmlDomain | null,
): Promise<void> {
  if (domain === null || domain.emulator === null) return;
  const { name, emulator } = domain;
  await libvirt.emulatorCapabilities(emulator).catch((error: unknown) => {
    const lasting = lastingIn(error);
    if (lasting === null) throw error;
    throw refused('command-failed', {
      attempted,
      now: `libvirt takes no change of VM ${name} (${lasting.said}); nothing was touched`,
      next: cureOf(lasting.said, `Choose another emulator for it (${shell`virsh edit ${name}`})`),
    });
  });
}

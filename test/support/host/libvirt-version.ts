/** What the libvirt and QEMU of a host do otherwise than those of Debian 12. */
import type { PrivateHost } from './private-host.ts';

/** libvirt 10.9 or newer, which comes with a QEMU of 9 or newer: that of Debian 13. */
export async function isNewer(host: PrivateHost): Promise<boolean> {
  const text = await host.virsh('version', '--daemon');
  const [, major = '0', minor = '0'] = /Running against daemon: (\d+)\.(\d+)/.exec(text) ?? [];
  return Number(major) > 10 || (Number(major) === 10 && Number(minor) >= 9);
}

/** What the agents of a host may do: without it they would guess, or fail in the middle. */
import { hasCapability, ownStatus } from '../../activities/adapters/process/capabilities.ts';

/** Numbers of capabilities(7), and what they are needed for. */
const NEEDED = {
  CAP_CHOWN: [0, 'gives copies the owner of their source'],
  CAP_DAC_OVERRIDE: [1, 'reads and writes images of any user'],
  CAP_FOWNER: [3, 'gives copies the mode of their source'],
  CAP_SYS_PTRACE: [19, 'sees which files the processes of other users have open'],
} as const;

/** The agent was not started, and nothing was touched. */
export class LacksRights extends Error {
  override readonly name = 'LacksRights';
}

export const NEXT_FOR_RIGHTS =
  'Run it as root, in a container with these capabilities; ' +
  'for VMs of your own user set LIBVIRT_DEFAULT_URI=qemu:///session';

/**
 * For an agent of the system's libvirt. One of an ordinary user's own VMs (`qemu:///session`) needs
 * no rights but the user's.
 * @param status text of `/proc/self/status`, see proc(5)
 * @throws LacksRights
 */
export function assertRights(libvirtUri: string, status = ownStatus()): void {
  if (!/^qemu.*\/system(\?|$)/.test(libvirtUri)) return;
  const missing = Object.entries(NEEDED).filter(([, [bit]]) => !hasCapability(bit, status));
  if (missing.length === 0) return;
  const words = missing.map(([name, [, purpose]]) => `${name}, by which it ${purpose}`);
  throw new LacksRights(`an agent of ${libvirtUri} lacks ${words.join('; ')}`);
}

/**
 * An agent sees only the VMs of its own libvirt, so the other hosts of a pool are asked before one
 * of its volumes is taken away from it.
 */
import type { Call } from './agents.ts';
import { codeOf, refusedImage } from './image-failures.ts';
import type { ImageHostActivities } from './move-contract.ts';
import type { NamedVolume } from './schemas.ts';

interface Question {
  attempted: string;
  /** Undefined in a plan of an agent that was older. */
  hosts: readonly string[] | undefined;
  volumes: readonly NamedVolume[];
}

/** Waits for a host that is away: what it would say is not known. @throws Refused */
export async function assertUnusedElsewhere(
  agentOf: (host: string) => Call<Pick<ImageHostActivities, 'observeUses'>>,
  { attempted, hosts, volumes }: Question,
): Promise<void> {
  const named = volumes.map(({ path, pool, identity }) => ({ path, pool, identity }));
  for (const host of hosts ?? []) {
    const summary = `ask host ${host} who uses ${named.length} volume(s)`;
    const [use] = await agentOf(host)('observeUses', { volumes: named }, summary);
    if (!use) continue;
    throw refusedImage(codeOf(use), {
      attempted,
      now: `${use.path} is used by ${use.by} on host ${host}; nothing was done`,
      next: 'Remove that use first, then repeat the request',
    });
  }
}

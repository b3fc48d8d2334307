/**
 * An agent sees only the VMs of its own libvirt, so the other hosts of a pool are asked before one
 * of its volumes is taken away from it.
 */
import { hostAgent, type AwayListener, type Call } from './agents.ts';
import { codeOf, refusedImage } from './image-failures.ts';
import type { ImageHostActivities } from '../transfer/activities.ts';
import type { NamedVolume } from '../chain/schemas.ts';

interface Question {
  attempted: string;
  hosts: readonly string[];
  volumes: readonly Volume[];
}
type Volume = Omit<NamedVolume, 'pool'> & { pool: string | null };

/** What other agents need to know of a volume. */
export const named = ({ path, pool, identity }: Volume): NamedVolume => ({
  path,
  pool: pool ?? '',
  identity,
});

type Activities = Pick<ImageHostActivities, 'observeUses'>;
export type AgentOf = (host: string) => Call<Activities>;

/** Agents of other hosts; one that is away is waited for, and what ends that wait is told. */
export const otherHosts =
  (away: AwayListener): AgentOf =>
  (host) =>
    hostAgent<Activities>(host, (who) =>
      away(
        who &&
          `${who}, and its VMs may use these volumes; ` +
            `if ${host} is gone for good, remove .blockflow/hosts/${host} from the pool`,
      ),
    );

/** Waits for a host that is away: what it would say is not known. @throws Refused */
export async function assertUnusedElsewhere(
  agentOf: AgentOf,
  { attempted, hosts, volumes }: Question,
): Promise<void> {
  const input = { volumes: volumes.map(named) };
  for (const host of hosts) {
    const summary = `ask host ${host} who uses ${volumes.length} volume(s)`;
    const [use] = await agentOf(host)('observeUses', input, summary);
    if (!use) continue;
    throw refusedImage(codeOf(use), {
      attempted,
      now: `${use.path} is used by ${use.by} on host ${host}; nothing was done`,
      next: 'Remove that use first, then repeat the request',
    });
  }
}

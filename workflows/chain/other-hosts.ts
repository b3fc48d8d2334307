/**
 * An agent sees only the VMs of its own libvirt, so the other hosts of a pool are asked before one
 * of its volumes is deleted under it.
 */
import { hostAgent, type AgentListener } from '../operation/agents.ts';
import { refused } from '../operation/failures.ts';
import type { chainOnHost } from './activities.ts';
import type { NamedVolume } from './references.ts';
import type { VolumeUse } from './schemas.ts';

interface Question {
  attempted: string;
  hosts: readonly string[];
  volumes: readonly PlannedVolume[];
}
type PlannedVolume = Omit<NamedVolume, 'pool'> & { pool: string | null };

/** What other agents need to know of a volume. */
export const named = ({ path, pool, identity }: PlannedVolume): NamedVolume => ({
  path,
  pool: pool ?? '',
  identity,
});

/** What a use of a volume refuses. */
export const codeOf = ({ kind }: VolumeUse) =>
  kind === 'child' ? ('shared-base' as const) : ('volume-in-use' as const);

/**
 * What ends a use of a volume: one cause, one sentence. Without a dot. Only the owner of that use
 * knows whether it is needed.
 */
export const endOfUse = ({ kind }: Pick<VolumeUse, 'kind'>): string =>
  ({
    child:
      'If the image that stands on it is needed, give it all data first ' +
      '(`qemu-img rebase -b ""`, while no VM has it open); else delete it',
    domain:
      'If that VM does not need it, detach it there (`virsh dumpxml` shows where it is named)',
    snapshot:
      'If that snapshot is not needed, delete it (`virsh snapshot-delete --metadata` forgets it)',
  })[kind];

/** The same of a file that a process has open. */
export const END_PROCESS =
  'See what has it open (`fuser -v FILE` on each host of its pool: it may be a VM), and end that ' +
  'use if it is not needed';

/**
 * Waits for a host that is unavailable, and tells what ends that wait: what it would say is not
 * known.
 * @throws Refused
 */
export async function assertUnusedElsewhere(
  listener: AgentListener,
  { attempted, hosts, volumes }: Question,
): Promise<void> {
  const input = { volumes: volumes.map(named) };
  for (const host of hosts) {
    const more =
      'and its VMs may use these volumes; ' +
      `if ${host} is gone for good, remove .blockflow/hosts/${host} from the pool`;
    const agent = hostAgent<typeof chainOnHost>(host, {
      away: (who) => listener.away(who && `${who}, ${more}`),
      stuck: (step, why) => listener.stuck(step, why && `${why}, ${more}`),
      goesForward: () => listener.goesForward(),
    });
    const summary = `ask host ${host} who uses ${volumes.length} volume(s)`;
    const [use] = await agent.observeUses(input, summary);
    if (!use) continue;
    throw refused(codeOf(use), {
      attempted,
      now: `${use.path} is used by ${use.by} on host ${host}; nothing was done`,
      next: `${endOfUse(use)}, then repeat the request`,
    });
  }
}

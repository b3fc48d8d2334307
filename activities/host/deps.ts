import type { JobWatch } from '../adapters/virsh/job-watch.ts';
import type { Pivots } from '../adapters/virsh/safe-pivot.ts';
import type { Libvirt } from '../adapters/virsh/domains.ts';
import type { Effect } from '../door/effect.ts';
import type { Turns } from '../door/turns.ts';

/** What the host activities stand on; tests pass their own. */
export interface HostDeps {
  host: string;
  /** Id of the machine, which tells two hosts of one name apart. */
  machine: string;
  /** Id of the Temporal namespace, empty where the agent may not see it. */
  installation: string;
  libvirt: Libvirt;
  watch: JobWatch;
  pivots: Pivots;
  effect: Effect;
  /** Which copies and merges may begin. */
  turns: Turns;
  /**
   * Folder for the small files of running commands (progress, results); survives the agent, not the
   * host.
   */
  runtimeDir: string;
  /** Folder of what must survive the host: which pools were seen where. */
  stateDir: string;
}

import type { JobWatch } from '../adapters/job-watch.ts';
import type { Pivots } from '../adapters/safe-pivot.ts';
import type { Libvirt } from '../adapters/virsh.ts';
import type { Effect } from '../effect.ts';

/** What the host activities stand on; tests pass their own. */
export interface HostDeps {
  host: string;
  libvirt: Libvirt;
  watch: JobWatch;
  pivots: Pivots;
  effect: Effect;
  /**
   * Folder for the small files of running commands (progress, results); survives the agent, not the
   * host.
   */
  runtimeDir: string;
}

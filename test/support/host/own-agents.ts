/** The agents' activities in the test's own process, on a private host and without Temporal. */
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createLibvirt } from '../../../activities/adapters/virsh/domains.ts';
import { createJobWatch } from '../../../activities/adapters/virsh/job-watch.ts';
import { createPivots } from '../../../activities/adapters/virsh/safe-pivot.ts';
import { createEffect, type EffectHook } from '../../../activities/door/effect.ts';
import { createHostActivities } from '../../../activities/host/index.ts';
import { createStorageActivities } from '../../../activities/storage/index.ts';
import type { Ask } from '../contract/hypervisor.ts';
import { freeTurns } from '../simulator/free-turns.ts';
import type { PrivateHost } from './private-host.ts';

export interface OwnAgents {
  /** Runs an activity once, as a worker does. */
  ask: Ask;
  close(): void;
}

/** The host is `h1` to them. */
export function startOwnAgents(host: PrivateHost, hook: EffectHook): OwnAgents {
  const libvirt = createLibvirt(host.uri);
  const watch = createJobWatch(libvirt);
  const pivots = createPivots(host.uri);
  const effect = createEffect([hook]);
  const runtimeDir = join(host.root, 'runtime');
  const activities = {
    ...createStorageActivities({ libvirt, effect }),
    ...createHostActivities({
      ...{ host: 'h1', machine: 'm1', installation: '' },
      ...{ libvirt, watch, pivots, effect, turns: freeTurns() },
      ...{ runtimeDir, stateDir: runtimeDir },
    }),
  };
  return {
    ask: (name, input) =>
      new MockActivityEnvironment().run(activities[name] as never, input as never),
    close() {
      watch.close();
      pivots.close();
      libvirt.close();
    },
  };
}

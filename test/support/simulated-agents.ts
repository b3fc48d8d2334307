/** The simulated activities as a worker serves them, or a test calls them. */
import { Context } from '@temporalio/activity';
import { simulated, unknownVm, type AgentActivities } from './simulated-host.ts';
import type { SimulatedVm } from './simulated-vm.ts';

/**
 * The simulated activities with what real ones have around them: the VM is found, beats are sent.
 */
export function agentActivities(
  vms: ReadonlyMap<string, SimulatedVm>,
  gates: Map<string, { pass(): Promise<void> }>,
): AgentActivities {
  const wrapped = Object.entries(simulated).map(([name, implementation]) => {
    const activity = async (input: never) => {
      if (name === 'observePresence') return;
      const vm = vms.get(slugOf(input));
      if (!vm) throw unknownVm(slugOf(input));
      vm.calls.push(name);
      const context = Context.current();
      const timer = setInterval(() => context.heartbeat(), 20);
      const gate = gates.get(`${vm.slug} ${name}`);
      gates.delete(`${vm.slug} ${name}`);
      try {
        await gate?.pass();
        const run = async () => implementation(vm, input) as Promise<unknown>;
        return await (vm.door ? vm.door(name, run) : run());
      } finally {
        clearInterval(timer);
      }
    };
    return [name, activity];
  });
  return Object.fromEntries(wrapped) as AgentActivities;
}

interface AnyInput {
  vm?: string;
  disk?: string;
  plan?: { vm: string; disk: string };
  path?: string;
  volumes?: { path: string }[];
}

/** Volumes are named after their disk, so that a path tells whose it is. */
function slugOf({ vm, disk, plan, path, volumes }: AnyInput): string {
  const file = path ?? volumes?.[0]?.path ?? '';
  const name = vm ?? plan?.vm;
  if (name === undefined) return /([^/]*)\.layer\d+$/.exec(file)?.[1] ?? '';
  const target = disk ?? plan?.disk ?? 'vda';
  return target === 'vda' ? name : `${name}-${target}`;
}

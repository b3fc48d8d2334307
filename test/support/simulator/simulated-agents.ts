/** The simulated activities as a worker serves them, or a test calls them. */
import { Context } from '@temporalio/activity';
import type { ImageRef } from '../../../workflows/chain/references.ts';
import { simulated, unknownVm, type AgentActivities } from './simulated-host.ts';
import type { SimulatedVm } from './simulated-vm.ts';

/**
 * The simulated activities with what real ones have around them: the VM is found, beats are sent.
 */
export function agentActivities(
  vms: ReadonlyMap<string, SimulatedVm>,
  gates: Map<string, { pass(): Promise<void> }>,
  beatMs = 20,
): AgentActivities {
  const wrapped = Object.entries(simulated).map(([name, implementation]) => {
    const activity = async (input: never) => {
      if (name === 'observePresence') return;
      const context = Context.current();
      const { workflowId } = context.info.workflowExecution ?? { workflowId: '' };
      const at = (slug: string | null) => vms.get(slug ?? '');
      // The search by job looks at all of them, which are a thousand in a fleet.
      const vm =
        at(slugOf(input)) ??
        at(slugOfJob(vms, input)) ??
        at(slugIn(workflowId)) ??
        at(vmIn(workflowId));
      if (!vm) throw unknownVm(workflowId);
      vm.calls.push(name);
      const timer = setInterval(() => context.heartbeat(), beatMs);
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
  image?: ImageRef;
  volume?: string;
  plan?: { vm: string | object | null; disk: string; volumes?: { path: string }[] };
  snapshot?: { vm?: string };
  request?: { vm?: string };
  note?: { state: { plan?: { vm: string }; change?: { vm: string } } };
  path?: string;
  volumes?: { path: string }[];
  jobId?: string;
}

const join = (vm: string, disk: string) => (disk === 'vda' ? vm : `${vm}-${disk}`);
/** Volumes are named after their disk, so that a path tells whose it is. */
const slugOfPath = (path = '') => /([^/.]+)\.[^/.]+$/.exec(path)?.[1] ?? null;

function slugOf(input: AnyInput) {
  const { vm, disk, image, volume, plan, path, volumes, snapshot, note, request } = input;
  const noted = note?.state.plan ?? note?.state.change;
  const name = vm ?? plan?.vm ?? request?.vm ?? snapshot?.vm ?? noted?.vm;
  if (typeof name === 'string') return join(name, disk ?? plan?.disk ?? 'vda');
  if (image?.kind === 'disk') return join(image.vm, image.disk);
  const file = path ?? image?.volume ?? volume ?? (volumes ?? plan?.volumes)?.[0]?.path;
  return slugOfPath(file);
}

function slugOfJob(vms: ReadonlyMap<string, SimulatedVm>, { jobId = '' }: AnyInput): string | null {
  const hasJob = ({ images, files, machine }: SimulatedVm) =>
    images.copiers.has(jobId) ||
    machine.notes.hasJob(jobId) ||
    [...files].some((path) => path.includes(`/${jobId}/`));
  const all = [...vms.values()];
  // The only one, when a job has left nothing by which to find it.
  const alone = jobId !== '' && all.length === 1 ? all[0] : undefined;
  return (all.find(hasJob) ?? alone)?.slug ?? null;
}

/** `vm1/vda`, `images/vm1.layer0`, `images/vm1.layer0/removal/JOB`. */
function slugIn(workflowId: string): string {
  const [first = '', second = ''] = workflowId.split('/');
  return slugOfPath(second) ?? join(first, second);
}

/** `vm1`, `vm1/revert/OWNER`: of a whole VM its first disk. */
function vmIn(workflowId: string): string {
  const [vm = '', second = 'revert'] = workflowId.split('/');
  return second === 'revert' ? vm : '';
}

/** What can happen in every model: to an operation, to a VM and to its storage. */
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import type { Deeds } from './engine.ts';
import type { Fate } from './stepped-agent.ts';
import type { TriedOperation } from './tried-operation.ts';

/** What runs on a VM, one of which an action means. */
interface Runner<Which> {
  readonly vm: SimulatedVm;
  running(which: Which): TriedOperation | undefined;
  settle(): Promise<void>;
  check(): void;
}

export interface OperationDetails<Which> {
  step: Which & { fate: Fate; which: number };
  steps: Which & { count: number };
  cancel: Which;
  terminate: Which;
}

/** What can happen to any operation. */
export const operationDeeds = <Which>(): Deeds<Runner<Which>, OperationDetails<Which>> => ({
  step: {
    if: (runner, which) => (runner.running(which)?.agent.waiting().length ?? 0) > 0,
    act: (runner, action) => runner.running(action)?.agent.step(action.fate, action.which),
  },
  steps: {
    if(runner, which) {
      const agent = runner.running(which)?.agent;
      return agent !== undefined && agent.waiting().length + agent.inside > 0;
    },
    /** Without faults; time passes when there is nothing else to do. */
    async act(runner, action) {
      for (let i = 0; i < action.count; i++) {
        const operation = runner.running(action);
        if (!operation) return;
        if (!operation.agent.step('well')) runner.vm.machine.pass(150);
        await runner.settle();
        runner.check();
      }
    },
  },
  cancel: {
    if: (runner, which) => runner.running(which) !== undefined,
    act: (runner, which) => runner.running(which)?.cancel(),
  },
  terminate: {
    if: (runner, which) => runner.running(which) !== undefined,
    act: (runner, which) => runner.running(which)?.terminate(),
  },
});

export interface VmDetails {
  flush: object;
  'shut down': object;
  fill: object;
  free: object;
  pass: { ms: number };
  write: { block: number };
}

const isUp = ({ vm }: { vm: SimulatedVm }) => vm.state === 'running';

/** What can happen to any VM and its storage. */
export const vmDeeds: Deeds<{ vm: SimulatedVm }, VmDetails> = {
  flush: { if: isUp, act: ({ vm }) => vm.flush() },
  'shut down': { if: isUp, act: ({ vm }) => vm.machine.stop('shut off (shutdown)') },
  fill: { act: ({ vm }) => (vm.freeBytes = 0) },
  free: { act: ({ vm }) => (vm.freeBytes = 1e12) },
  pass: { act: ({ vm }, { ms }) => vm.machine.pass(ms) },
  write: { if: isUp, act: ({ vm }, { block }) => vm.write(block) },
};

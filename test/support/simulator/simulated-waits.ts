/** How the simulated activities are written, and how those wait that wait. */
import { Context } from '@temporalio/activity';
import { attempts, passStrike } from './simulated-switch.ts';
import type { SimulatedVm } from './simulated-vm.ts';

type Implementation<I, O> = (vm: SimulatedVm, input: I) => O | Promise<O>;
export type Implementations<T extends { [K in keyof T]: (input: never) => Promise<unknown> }> = {
  [K in keyof T]: Implementation<Parameters<T[K]>[0], Awaited<ReturnType<T[K]>>>;
};

/**
 * Waits, beating, until `look` gives an answer; a cancel ends the wait, as in the real activities.
 */
export async function until<T>(vm: SimulatedVm, look: () => T | null): Promise<T> {
  for (;;) {
    vm.advance();
    passStrike();
    const answer = look();
    if (answer !== null) return answer;
    attempts.getStore()?.looked();
    Context.current().heartbeat({ copiedBytes: vm.job?.copiedBytes ?? 0 });
    await Context.current().sleep(vm.tickMs);
  }
}

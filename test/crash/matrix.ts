/**
 * The crash matrix of an operation: every effect x every point x every victim x kill or freeze,
 * generated from the registry of effects. `npm test` runs a sample, `npm run test:crash` all; one
 * by its name: `npm test -- -t 'libvirt.pivot, during: kill host'`.
 */
import { it } from '@jest/globals';
import { keepInLedger, type CrashCase } from '../support/faults/crash-ledger.ts';
import { disarmFault } from '../support/faults/faults.ts';
import type { Stage, StruckRun } from '../support/faults/stages/stage.ts';
import { useStage } from '../support/faults/stages/stages.ts';
import { nameOf, strikes, type Matrix, type Strike } from '../support/faults/strike-list.ts';
import { armPoint, strike } from '../support/faults/strike.ts';
import { sample } from '../support/sample.ts';

/** Guest writes that a case has to be surrounded by. */
const WRITES = 100;

/**
 * @param prefix of the names of its cases
 * @param every how many of them are drawn one in `npm test`
 */
export function testMatrix(matrix: Matrix, prefix = '', every = 97): void {
  const stage = useStage[matrix](`crash-${matrix}`, WRITES);
  const sampled = sample(`strikes on ${matrix}s`, strikes[matrix], every);
  const cases = sampled.map((planned) => [`${prefix}${nameOf(planned)}`, planned] as const);
  it.each(cases)('%s', async (_, planned) => {
    const { victim } = planned;
    const nothing = { recoveryMs: null, guestWrites: 0, stallMs: null };
    const seen: CrashCase = { matrix, name: nameOf(planned), victim, passed: false, ...nothing };
    try {
      await survive(stage, planned, seen);
      seen.passed = true;
    } finally {
      await keepInLedger(seen);
    }
  });
}

/** Strikes the operation, heals, and looks whether it ends right. @param seen what was measured */
async function survive(stage: Stage, planned: Strike, seen: CrashCase): Promise<void> {
  const { system } = stage;
  let run: StruckRun | undefined;
  try {
    run = await stage.start(planned.effect, () => armPoint(system, planned));
    await strike(system, planned, run.operation, run.vm);
    const struckAt = performance.now();
    await system.revive();
    // It may end as failed, as when its VM has died: what is right then is looked at below.
    await run.operation.result().catch(() => undefined);
    seen.recoveryMs = Math.round(performance.now() - struckAt);
    Object.assign(seen, await run.expectRight());
  } catch (error) {
    // Nothing of it may be met in the next case: neither its workflow nor an agent that it stopped.
    disarmFault(system.trace);
    await run?.operation.terminate().catch(() => undefined);
    await system.killRoles();
    throw error;
  }
}

/**
 * Merges of two disks of one VM, with whatever may happen to them in any order, against the
 * simulator that test/support/hypervisor-contract.ts holds to real QEMU and libvirt. fast-check
 * draws the commands, and shrinks those that fail.
 *
 * A plain run tries a few, others each day. BLOCKFLOW_RUNS says how many (`npm run test:model`:
 * 1000). A failure prints BLOCKFLOW_SEED, BLOCKFLOW_PATH and BLOCKFLOW_REPLAY, which play that run
 * alone; shrunk, it becomes a test of merge-model-found.test.ts.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { runsAllCases, today } from '../support/daily-sample.ts';
import { startBench, type Bench } from '../support/workflow-bench.ts';
import { commands, openWorld, setting } from './merge-run.ts';
import { heal } from './healing.ts';

const { BLOCKFLOW_SEED, BLOCKFLOW_PATH, BLOCKFLOW_REPLAY, BLOCKFLOW_RUNS } = process.env;
const numRuns = Number(BLOCKFLOW_RUNS ?? (runsAllCases ? 100 : 6));
const seed = Number(BLOCKFLOW_SEED ?? today());
const MAX_COMMANDS = 40;

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.close());

const figures = { runs: 0, commands: 0, longest: 0, ends: new Map<string, number>() };

const property = fc.asyncProperty(
  setting,
  commands(MAX_COMMANDS, BLOCKFLOW_REPLAY),
  async (given, drawn) => {
    const world = await openWorld(bench, given);
    await fc.asyncModelRun(() => ({ model: world, real: world }), drawn);
    await heal(world, given.leaveOff);
    const ran = world.reduce((sum, { happened }) => sum + happened, 0);
    figures.runs++;
    figures.commands += ran;
    figures.longest = Math.max(figures.longest, ran);
    for (const end of world.flatMap(({ ends }) => ends)) {
      figures.ends.set(end, (figures.ends.get(end) ?? 0) + 1);
    }
  },
);

/** How to play the failed run again, with its commands. */
function reportOf<T>(result: fc.RunDetails<T>): string {
  const text = fc.defaultReportMessage(result) ?? '';
  const replay = /replayPath="([^"]*)"/.exec(text)?.[1] ?? '';
  const again = [
    `BLOCKFLOW_SEED=${result.seed} BLOCKFLOW_PATH=${result.counterexamplePath ?? ''}`,
    `BLOCKFLOW_REPLAY=${replay} npm test -- test/model/merge-model.test.ts`,
  ];
  return `To play it again: ${again.join(' ')}\n${text}`;
}

it('no order of crashes and messages loses a flushed write or leaves a trace', async () => {
  const path = BLOCKFLOW_PATH ? { path: BLOCKFLOW_PATH } : {};
  const result = await fc.check(property, { seed, numRuns, ...path });
  const ends = [...figures.ends].map(([end, count]) => `${count} ${end}`).join(', ');
  const { runs, commands: sum, longest } = figures;
  const words = `seed ${seed}: ${runs} runs, ${sum} commands, longest ${longest}; ends: ${ends}`;
  if (BLOCKFLOW_RUNS !== undefined) process.stdout.write(`${words}\n`);
  if (result.failed) throw new Error(reportOf(result));
  expect(runs).toBe(path.path ? 1 : numRuns);
}, 60_000 + numRuns * 20_000);

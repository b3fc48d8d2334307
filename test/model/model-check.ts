/** How many runs of a model are drawn, from which seed, and what a failed one prints. */
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { runsAllCases, seed } from '../support/sample.ts';
import { use } from '../support/use.ts';
import { startBench, type Bench } from '../support/workflow-bench.ts';

const { BLOCKFLOW_PATH, BLOCKFLOW_RUNS } = process.env;
/** Plays exactly the commands of a failed run. */
const REPLAY = process.env['BLOCKFLOW_REPLAY'];
const numRuns = Number(BLOCKFLOW_RUNS ?? (runsAllCases ? 100 : 6));
const MAX_COMMANDS = 40;
const RUNS_LIMIT_MS = numRuns * 20_000;
const LIMIT_MS = 60_000 + RUNS_LIMIT_MS;

/** What the runs did. */
class Figures {
  runs = 0;
  #commands = 0;
  #longest = 0;
  readonly #ends = new Map<string, number>();

  add(commands: number, ends: readonly string[]): void {
    this.runs++;
    this.#commands += commands;
    this.#longest = Math.max(this.#longest, commands);
    for (const end of ends) this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
  }

  get words(): string {
    const ends = [...this.#ends].map(([end, count]) => `${count} ${end}`).join(', ');
    const runs = `${this.runs} runs, ${this.#commands} commands, longest ${this.#longest}`;
    return `seed ${seed}: ${runs}; ends: ${ends}`;
  }
}

interface Model<G, D> {
  /** What a run is given before its commands. */
  given: fc.Arbitrary<G>;
  commands(max: number, replayPath?: string): fc.Arbitrary<D>;
  /** Plays a run to its healed end: how many commands happened, and how the operations ended. */
  play(bench: Bench, given: G, drawn: D): Promise<{ happened: number; ends: readonly string[] }>;
}

/** Defines the test of a model in this file, on a bench of its own. */
export function testModel<G, D>(file: string, title: string, model: Model<G, D>): void {
  const bench = use('the bench', startBench);
  const figures = new Figures();
  const drawn = model.commands(MAX_COMMANDS, REPLAY);
  const property = fc.asyncProperty(model.given, drawn, async (given, commands) => {
    const { happened, ends } = await model.play(bench, given, commands);
    figures.add(happened, ends);
  });
  it(title, () => checkModel(file, property, figures), LIMIT_MS);
}

/** Draws the runs. @throws with what plays the failed one again, shrunk */
async function checkModel<T>(
  file: string,
  property: fc.IAsyncProperty<T>,
  figures: Figures,
): Promise<void> {
  const path = BLOCKFLOW_PATH ? { path: BLOCKFLOW_PATH } : {};
  const endOnFailure = process.env['BLOCKFLOW_SHRINK'] === 'no';
  // What is shrunk until then is told; a limit of jest's would tell nothing.
  const skipAllAfterTimeLimit = RUNS_LIMIT_MS;
  const options = { seed, numRuns, endOnFailure, skipAllAfterTimeLimit, ...path };
  const result = await fc.check(property, options);
  if (BLOCKFLOW_RUNS !== undefined) process.stdout.write(`${figures.words}\n`);
  if (result.failed) throw new Error(reportOf(file, result));
  // What is played again from a path goes on behind it when it now passes.
  if (!BLOCKFLOW_PATH) expect(figures.runs).toBe(numRuns);
}

/** How to play the failed run again, with its commands. */
function reportOf<T>(file: string, result: fc.RunDetails<T>): string {
  const text = fc.defaultReportMessage(result) ?? '';
  const replay = /replayPath="([^"]*)"/.exec(text)?.[1] ?? '';
  const again = [
    `BLOCKFLOW_SEED=${result.seed} BLOCKFLOW_PATH=${result.counterexamplePath ?? ''}`,
    `BLOCKFLOW_REPLAY=${replay} npm test -- ${file}`,
  ];
  return `${String(result.errorInstance)}\nTo play it again: ${again.join(' ')}\n${text}`;
}

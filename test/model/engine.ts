/**
 * The engine of a model: what can happen to a world is data that fast-check draws and shrinks. Here
 * is also how many runs are drawn, from which seed, and what a failed one prints.
 */
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

/** What operations are done to, with all of them. */
interface World {
  /** Actions that were done. */
  happened: number;
  /** How its operations have ended, in words for the figures. */
  readonly endings: readonly string[];
  /** Resolves when nothing moves any more without the test. */
  settle(): Promise<void>;
  /** Checks what must hold at every instant. */
  check(): void;
  /** After a failure: nothing waits for this test any more. */
  giveUp(): Promise<void>;
}

/** An action: its name, and its details. */
export type Named<Details> = {
  [Name in keyof Details]: { do: Name } & Details[Name];
}[keyof Details];

interface Deed<Actor, Detail> {
  /** False for what cannot happen now; such a command is left out. Without it all can. */
  if?(actor: Actor, detail: Detail): boolean;
  act(actor: Actor, detail: Detail): unknown;
}
/** What each action does to its actor. */
export type Deeds<Actor, Details> = { [Name in keyof Details]: Deed<Actor, Details[Name]> };

interface Actions<W, Actor, Details> {
  deeds: Deeds<Actor, Details>;
  /** To whom an action is done. */
  actorOf(world: W, action: Named<Details>): Actor;
}

export interface Model<W extends World, Actor, Details, Given> extends Actions<W, Actor, Details> {
  action: fc.Arbitrary<Named<Details>>;
  /** What a run is given before its actions. */
  given: fc.Arbitrary<Given>;
  /** The same for runs that have a name. */
  usual: Given;
  open(bench: Bench, given: Given): Promise<W>;
  /** All faults end, and what was asked for is fulfilled. */
  heal(world: W, given: Given): Promise<void>;
}

function bind<W extends World, Actor, Details>(
  { deeds, actorOf }: Actions<W, Actor, Details>,
  world: W,
  action: Named<Details>,
) {
  const deed = deeds[action.do] as Deed<Actor, Named<Details>>;
  const actor = actorOf(world, action);
  return {
    isPossible: () => deed.if?.(actor, action) ?? true,
    /** Lets it happen, waits until nothing moves, and checks what must always hold. */
    async happen() {
      world.happened++;
      await deed.act(actor, action);
      await world.settle();
      world.check();
    },
  };
}

/** @returns false when it is not possible now */
export async function happenIfPossible<W extends World, Actor, Details>(
  actions: Actions<W, Actor, Details>,
  world: W,
  action: Named<Details>,
): Promise<boolean> {
  const bound = bind(actions, world, action);
  const isPossible = bound.isPossible();
  if (isPossible) await bound.happen();
  return isPossible;
}

/** A run to its healed end; one that fails leaves nothing behind that waits for it. */
async function run<W extends World, Actor, Details, Given>(
  model: Model<W, Actor, Details, Given>,
  [bench, given]: [Bench, Given],
  act: (world: W) => Promise<void>,
): Promise<W> {
  const world = await model.open(bench, given);
  try {
    await act(world);
    await model.heal(world, given);
    return world;
  } catch (error) {
    await world.giveUp();
    throw error;
  }
}

/** A shrunk run: exactly these actions, then the healing. */
export const play = <W extends World, Actor, Details, Given>(
  model: Model<W, Actor, Details, Given>,
  bench: Bench,
  actions: readonly Named<Details>[],
  given: Partial<Given> = {},
): Promise<W> =>
  run(model, [bench, { ...model.usual, ...given }], async (world) => {
    for (const action of actions) {
      const happened = await happenIfPossible(model, world, action);
      if (!happened) throw new Error(`not possible: ${JSON.stringify(action)}`);
    }
  });

/** Defines the test of a model in this file, on a bench of its own. */
export function testModel<W extends World, Actor, Details, Given>(
  file: string,
  title: string,
  model: Model<W, Actor, Details, Given>,
): void {
  const bench = use('the bench', startBench);
  const figures = new Figures();
  const command = (action: Named<Details>): fc.AsyncCommand<W, W> => ({
    check: (world) => bind(model, world as W, action).isPossible(),
    run: (_, world) => bind(model, world, action).happen(),
    toString: () => JSON.stringify(action),
  });
  const drawn = fc.commands([model.action.map(command)], {
    maxCommands: MAX_COMMANDS,
    size: 'max',
    ...(REPLAY ? { replayPath: REPLAY } : {}),
  });
  const property = fc.asyncProperty(model.given, drawn, async (given, commands) => {
    const world = await run(model, [bench, given], (opened) =>
      fc.asyncModelRun(() => ({ model: opened, real: opened }), commands),
    );
    figures.add(world.happened, world.endings);
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

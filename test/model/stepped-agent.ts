/**
 * Holds every activity of one operation at its door until the test lets it in, so that a list of
 * commands happens in its order, whatever the clock does. Also where an agent dies.
 */
import { agentDied, attempts, type Strike } from '../support/simulator/simulated-switch.ts';
import type { SimulatedVm } from '../support/simulator/simulated-vm.ts';
import { waitUntil } from '../support/wait-until.ts';

/**
 * What happens to an activity: nothing; its agent dies before it, or after it was done and before
 * it was reported; it runs twice; a process dies inside of it.
 */
export type Fate = 'well' | 'before' | 'unreported' | 'twice' | Strike;

interface Waiting {
  name: string;
  enter(fate: Fate): void;
}

export class SteppedAgent {
  readonly #vm: SimulatedVm;
  readonly #id: string;
  readonly #atDoor: Waiting[] = [];
  #inside = 0;
  #isOpen = false;
  /** Attempts that began in the current life of the operation; those of a dead one do nothing. */
  #life = 0;

  /** Looks of its waiting activities that found nothing to end their wait. */
  #looks = 0;

  /** @param id of its operation, for messages */
  constructor(vm: SimulatedVm, id = vm.slug) {
    [this.#vm, this.#id] = [vm, id];
  }

  /** Names of the activities at the door. */
  waiting(): string[] {
    return this.#atDoor.map(({ name }) => name);
  }

  get inside(): number {
    return this.#inside;
  }

  /** Lets one activity in; false when there is none. */
  step(fate: Fate, which = 0): boolean {
    const [chosen] = this.#atDoor.splice(which % Math.max(1, this.#atDoor.length), 1);
    chosen?.enter(fate);
    return chosen !== undefined;
  }

  /** The operation was terminated: its activities hear it and end. */
  drop(): void {
    this.#life++;
    while (this.step('before'));
  }

  /** From now on everything happens by itself, and well. */
  open(): void {
    this.#isOpen = true;
    while (this.step('well'));
  }

  /** Resolves when nothing moves any more without the test: one is at the door, or one waits. */
  async settled(isOver: () => boolean | Promise<boolean>, mustLeave: boolean): Promise<void> {
    const looks = this.#looks;
    const what = () => `${this.#id} to settle (calls ${this.#vm.calls.slice(-4).join(', ')})`;
    const isStill = async () => {
      if (this.#atDoor.length > 0 || (await isOver())) return true;
      return !mustLeave && this.#inside > 0 && this.#looks > looks + 2;
    };
    await waitUntil(what, isStill, { intervalMs: 3, timeoutMs: 20_000 });
  }

  /** An activity arrives, and enters when it is let in. */
  async pass<T>(name: string, run: () => Promise<T>): Promise<T> {
    const life = this.#life;
    const entered = (fate: Fate) => (life === this.#life ? fate : 'before');
    const fate = this.#isOpen
      ? 'well'
      : entered(await new Promise<Fate>((enter) => this.#atDoor.push({ name, enter })));
    if (fate === 'before') throw agentDied();
    this.#inside++;
    try {
      return await this.#perform(fate, run);
    } finally {
      this.#inside--;
    }
  }

  async #perform<T>(fate: Fate, run: () => Promise<T>): Promise<T> {
    const outside = fate === 'well' || fate === 'before' || fate === 'unreported';
    // An activity without such a moment is passed over.
    const strike = outside || fate === 'twice' ? null : fate;
    const attempt = { strike, looked: () => void this.#looks++ };
    return attempts.run(attempt, async () => {
      if (fate === 'twice') await run();
      const result = await run();
      if (fate === 'unreported') throw agentDied();
      return result;
    });
  }
}

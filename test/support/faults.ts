/** Faults at the door of effects, for one role's process. Test builds only: production registers no such hook. */
import { appendFileSync } from 'node:fs';
import { z } from 'zod';
import { effectNames, type EffectHook } from '../../activities/effect.ts';

export const fault = z.object({
  effect: z.enum(effectNames),
  /**
   * `fail-before`: never started. `fail-after`: done, then reported as failed. `twice`: done two times.
   * `kill-before`, `kill-after`: this process dies by SIGKILL. `hang-before`, `hang-after`: it waits there for ever.
   * `stop-before`, `stop-after`: SIGSTOP, until the test sends SIGCONT.
   */
  action: z.enum([
    'fail-before',
    'fail-after',
    'twice',
    'kill-before',
    'kill-after',
    'hang-before',
    'hang-after',
    'stop-before',
    'stop-after',
  ]),
  /** Which passing of the effect in this process, 1 for the first. */
  occurrence: z.number().default(1),
});
export type Fault = z.input<typeof fault>;

const never = () => new Promise<never>(() => undefined);
const kill = () => {
  process.kill(process.pid, 'SIGKILL');
  return never();
};
/** SIGSTOP takes effect before the process runs on; the timer only lets the signal be delivered first. */
const stop = async () => {
  process.kill(process.pid, 'SIGSTOP');
  await new Promise((done) => setTimeout(done, 1));
};

/** @param trace file that gets one line for each passing of the door: `<effect> <target>`. */
export function faultHook(faults: readonly Fault[], trace?: string): EffectHook {
  const planned = faults.map((f) => fault.parse(f));
  const passed = new Map<string, number>();
  return async (name, target, run) => {
    const count = (passed.get(name) ?? 0) + 1;
    passed.set(name, count);
    if (trace) appendFileSync(trace, `${name} ${target}\n`);
    const due = planned.find((f) => f.effect === name && f.occurrence === count)?.action;
    if (due === 'fail-before') throw new Error(`fault: ${name} was not started`);
    if (due === 'kill-before') return kill();
    if (due === 'hang-before') return never();
    if (due === 'stop-before') await stop();
    if (due === 'twice') await run();
    const result = await run();
    if (due === 'fail-after') throw new Error(`fault: ${name} was done, and reported as failed`);
    if (due === 'kill-after') return kill();
    if (due === 'stop-after') await stop();
    if (due === 'hang-after') return never();
    return result;
  };
}

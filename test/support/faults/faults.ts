/**
 * Faults at the door of effects, for one role's process. Test builds only: production registers no
 * such hook.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { effectNames, type EffectHook } from '../../../activities/door/effect.ts';

export const fault = z.object({
  effect: z.enum(effectNames),
  /**
   * `fail-before`: never started. `fail-after`: done, then reported as failed. `twice`: done two
   * times. `kill-before`, `kill-after`: this process dies by SIGKILL. `hang-before`,
   * `hang-after`: it waits there without end. `stop-before`, `stop-during`, `stop-after`: SIGSTOP,
   * until the test sends SIGCONT; what an effect has begun outside goes on meanwhile.
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
    'stop-during',
    'stop-after',
  ]),
  /** Which passing of the effect in this process, 1 for the first. */
  occurrence: z.number().default(1),
});
export type Fault = z.input<typeof fault>;

const agents = ['orchestrator', 'host', 'spm'] as const;
type Agent = (typeof agents)[number];

/** The process in which an effect happens. */
export function agentOf(effect: string): Agent {
  if (effect.startsWith('storage.')) return 'spm';
  return effect.startsWith('audit.') ? 'orchestrator' : 'host';
}

const armedFault = fault.extend({
  effect: fault.shape.effect.or(z.templateLiteral(['any of ', z.enum(agents)])),
});

const never = () => new Promise<never>(() => undefined);
const kill = () => {
  process.kill(process.pid, 'SIGKILL');
  return never();
};
/**
 * SIGSTOP takes effect before the process runs on; the timer only lets the signal be delivered
 * first.
 */
const stop = async () => {
  process.kill(process.pid, 'SIGSTOP');
  await new Promise((done) => setTimeout(done, 1));
};

const armedFile = (trace: string) => `${trace}.armed`;

/**
 * Plans a fault for the next passing of its effect, or of any effect of an agent.
 */
export function armFault(
  trace: string,
  planned: { effect: Fault['effect'] | `any of ${Agent}`; action: Fault['action'] },
): void {
  writeFileSync(armedFile(trace), JSON.stringify(planned));
}

/** Takes it back, if it has not struck. */
export const disarmFault = (trace: string) => rmSync(armedFile(trace), { force: true });

/** False once the armed fault has struck. */
export const isArmed = (trace: string) => existsSync(armedFile(trace));

function takeArmed(trace: string | undefined, effect: string): Fault['action'] | undefined {
  if (!trace || !isArmed(trace)) return undefined;
  const armed = armedFault.parse(JSON.parse(readFileSync(armedFile(trace), 'utf8')));
  if (armed.effect !== effect && armed.effect !== `any of ${agentOf(effect)}`) return undefined;
  rmSync(armedFile(trace));
  return armed.action;
}

/** @param trace file that gets one line for each passing of the door: `<effect> <target>`. */
export function faultHook(given: readonly Fault[], trace?: string): EffectHook {
  const faults = given.map((f) => fault.parse(f));
  const passed = new Map<string, number>();
  return async (name, target, run) => {
    const count = (passed.get(name) ?? 0) + 1;
    passed.set(name, count);
    if (trace) appendFileSync(trace, `${name} ${target}\n`);
    const planned = faults.filter((f) => f.effect === name && f.occurrence === count);
    const actions = planned.map((f) => f.action);
    const armed = actions.length === 0 ? takeArmed(trace, name) : undefined;
    const due = (action: Fault['action']) => action === armed || actions.includes(action);
    if (due('fail-before')) throw new Error(`fault: ${name} was not started`);
    if (due('kill-before')) return kill();
    if (due('hang-before')) return never();
    if (due('stop-before')) await stop();
    if (due('twice')) await run();
    const running = run();
    // A stopped process does not hear a failure at once.
    running.catch(() => undefined);
    if (due('stop-during')) await stop();
    const result = await running;
    if (due('fail-after')) throw new Error(`fault: ${name} was done, and reported as failed`);
    if (due('kill-after')) return kill();
    if (due('hang-after')) return never();
    if (due('stop-after')) await stop();
    return result;
  };
}

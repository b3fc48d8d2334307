/** Every case of the crash matrices: effect x point x victim x strike. */
import { effectsOf, type EffectName, type Operation } from '../../../activities/door/effect.ts';
import { agentOf } from './faults.ts';
import { effectsOfOneDisk, liveEffects } from './effects-of-moves.ts';

/** Before the effect; when it has begun and its agent stands still; when it is done but untold. */
const points = ['before', 'during', 'after'] as const;
export const victims = ['orchestrator', 'host', 'spm', 'libvirtd', 'qemu', 'temporal'] as const;
export type Victim = (typeof victims)[number];

/** `kill twice`: the agent dies again at the next effect, in its recovery. */
export interface Strike {
  effect: EffectName;
  point: (typeof points)[number];
  victim: Victim;
  strike: 'kill' | 'freeze' | 'kill twice';
}

export const nameOf = ({ effect, point, victim, strike }: Strike) =>
  `${effect}, ${point}: ${strike} ${victim}`;

/** What the effects are of: one kind of operation, or MoveDisks, which has those of a move. */
export type Matrix = Operation | 'move disks';

/** Effects that happen in it. */
export const effectsIn = (matrix: Matrix): EffectName[] =>
  matrix === 'move disks'
    ? effectsOf('move').filter((effect) => !isOneOf(effectsOfOneDisk, effect))
    : effectsOf(matrix);

const isOneOf = (list: readonly string[], effect: string) => list.includes(effect);

/** The VM is down during a revert and most moves, so there is no QEMU to strike. */
const struck: Record<Matrix, readonly Victim[]> = {
  merge: victims,
  move: victims.filter((victim) => victim !== 'qemu'),
  'move disks': victims,
  'snapshot create': victims,
  'snapshot delete': victims,
  'snapshot revert': victims.filter((victim) => victim !== 'qemu'),
};

const victimsOf = (matrix: Matrix, effect: string) =>
  matrix === 'move' && isOneOf(liveEffects, effect) ? victims : struck[matrix];

/** Every strike on its effects; the process that holds an effect is also killed twice. */
function strikesOn(matrix: Matrix): Strike[] {
  const strikes = (effect: string, victim: Victim) =>
    victim === agentOf(effect)
      ? (['kill', 'freeze', 'kill twice'] as const)
      : (['kill', 'freeze'] as const);
  return effectsIn(matrix).flatMap((effect) =>
    points.flatMap((point) =>
      victimsOf(matrix, effect).flatMap((victim) =>
        strikes(effect, victim).map((strike) => ({ effect, point, victim, strike })),
      ),
    ),
  );
}

export const strikes: Record<Matrix, Strike[]> = {
  merge: strikesOn('merge'),
  move: strikesOn('move'),
  'move disks': strikesOn('move disks'),
  'snapshot create': strikesOn('snapshot create'),
  'snapshot delete': strikesOn('snapshot delete'),
  'snapshot revert': strikesOn('snapshot revert'),
};

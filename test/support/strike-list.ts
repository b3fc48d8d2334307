/** Every case of the crash matrices: effect x point x victim x strike. */
import { effectNames } from '../../activities/effect.ts';
import { agentOf, type Fault } from './faults.ts';

/** Before the effect; when it has begun and its agent stands still; when it is done but untold. */
const points = ['before', 'during', 'after'] as const;
export const victims = ['orchestrator', 'host', 'spm', 'libvirtd', 'qemu', 'temporal'] as const;
export type Victim = (typeof victims)[number];

/** `kill twice`: the agent dies again at the next effect, in its recovery. */
export interface Strike {
  effect: Fault['effect'];
  point: (typeof points)[number];
  victim: Victim;
  strike: 'kill' | 'freeze' | 'kill twice';
}

export const nameOf = ({ effect, point, victim, strike }: Strike) =>
  `${effect}, ${point}: ${strike} ${victim}`;

/** Every strike on these effects; the process that holds an effect is also killed twice. */
function strikesOn(effects: readonly Fault['effect'][], struck: readonly Victim[]): Strike[] {
  const strikes = (effect: string, victim: Victim) =>
    victim === agentOf(effect)
      ? (['kill', 'freeze', 'kill twice'] as const)
      : (['kill', 'freeze'] as const);
  return effects.flatMap((effect) =>
    points.flatMap((point) =>
      struck.flatMap((victim) =>
        strikes(effect, victim).map((strike) => ({ effect, point, victim, strike })),
      ),
    ),
  );
}

/** Every effect that happens in a move of a VM's disk, or in undoing one. */
export const movedEffects = [
  'storage.reserve-image',
  'image.hold',
  'image.reflink',
  'image.create-target',
  'image.start-copy',
  'image.end-copy',
  'image.complete-copy',
  'image.pass-verification',
  'qemu-img.rebase',
  'storage.name-volume',
  'libvirt.switch-disk-source',
  'libvirt.redefine-snapshot',
  'image.release',
  'storage.remove-reservation',
  'storage.abandon-reservation',
  'storage.unlink-copy',
  'storage.wipe-volume',
] as const satisfies Fault['effect'][];

/** The VM is down during a move, so there is no QEMU to strike. */
const moveVictims = victims.filter((victim) => victim !== 'qemu');

export const strikes = {
  merge: strikesOn(effectNames, victims),
  move: strikesOn(movedEffects, moveVictims),
};
export type Matrix = keyof typeof strikes;

/** Where the effects of an operation happen, so that a test can strike them. */
import type { WorkflowHandle } from '@temporalio/client';
import type { EffectName } from '../../../../activities/door/effect.ts';
import type { System } from '../../host/system.ts';

export interface StruckRun {
  /** The workflow that the effect is of. */
  operation: WorkflowHandle;
  /** The VM whose QEMU may be struck. */
  vm: string;
  /** Waits for the end that it has when no process dies. */
  expectEnd(): Promise<void>;
  /** Waits for its end, whatever that is: all data is in one image, and nothing else is left. */
  expectRight(): Promise<Measured>;
}

export interface Measured {
  /** Guest writes acknowledged meanwhile, all of them found at the end. */
  guestWrites: number;
  /** Of the pivot, in milliseconds; null when it was not seen to its end. */
  stallMs: number | null;
}

export interface Stage {
  system: System;
  /** Makes the effect happen; `arm` is called when its next passing is the one to be struck. */
  start(effect: EffectName, arm: () => void): Promise<StruckRun>;
}

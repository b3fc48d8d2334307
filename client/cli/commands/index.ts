/** Every command, in the order of the help. */
import { defineCancel } from './cancel.ts';
import { defineChain } from './chain.ts';
import { defineCompletion } from './completion.ts';
import { defineDoctor } from './doctor.ts';
import { defineEvents } from './events.ts';
import { defineCopy, defineMove, defineRm } from './images.ts';
import { defineList } from './list.ts';
import { defineMerge } from './merge.ts';
import { definePool } from './pool.ts';
import { defineSnapshot } from './snapshot.ts';
import { defineSpm } from './spm.ts';
import { defineStatus } from './status.ts';
import { defineBandwidth, defineDecide } from './steer.ts';
import { defineUi } from './ui.ts';
import { defineUp } from './up.ts';
import { defineWorker } from './worker.ts';
import type { DefineCommand } from './command.ts';

export const commands: readonly DefineCommand[] = [
  defineMerge,
  defineMove,
  defineCopy,
  defineRm,
  defineSnapshot,
  defineStatus,
  defineList,
  defineChain,
  defineCancel,
  defineBandwidth,
  defineDecide,
  defineEvents,
  defineSpm,
  definePool,
  defineDoctor,
  defineUp,
  defineUi,
  defineWorker,
  defineCompletion,
];

/** Every command, in the order of the help. */
import { defineCancel } from './cancel.ts';
import { defineChain } from './chain.ts';
import { defineCompletion } from './site/completion.ts';
import { defineDoctor } from './site/doctor.ts';
import { defineEvents } from './events.ts';
import { defineCopy, defineMove, defineRm } from './images.ts';
import { defineList } from './list.ts';
import { defineMerge } from './merge.ts';
import { defineLimit } from './site/limit.ts';
import { definePool } from './site/pool.ts';
import { defineSnapshot } from './snapshot/snapshot.ts';
import { defineSpm } from './site/spm.ts';
import { defineStatus } from './status.ts';
import { defineBandwidth, defineDecide } from './steer.ts';
import { defineUi } from './site/ui.ts';
import { defineUp } from './site/up.ts';
import { defineWorker } from './site/worker.ts';
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
  defineLimit,
  defineEvents,
  defineSpm,
  definePool,
  defineDoctor,
  defineUp,
  defineUi,
  defineWorker,
  defineCompletion,
];

/** Live progress of a followed operation: a bar for a person, sober lines for a log. */
import type { SingleBar } from 'cli-progress';
import { kinds } from '../../workflows/kinds.ts';
import type { OperationView } from '../library/operation-view.ts';
import {
  amountWords,
  currentProgress,
  notesOf,
  phaseOf,
  progressWords,
} from '../library/progress-words.ts';
import { timeWords } from '../library/times.ts';
import { visible } from '../../workflows/operation/words.ts';
import type { Screen } from './screen.ts';

export interface ProgressDisplay {
  show(view: OperationView): void;
  /** Leaves the line; what is printed next stands below. */
  stop(): void;
}

const LINE_EVERY_MS = 1000;

/** At most one line a second, and only when something changed; a new phase is told at once. */
export function lineDisplay(screen: Screen, now: () => number = Date.now): ProgressDisplay {
  let last = { words: '', phase: '', atMs: -Infinity };
  return {
    show(view) {
      const words = progressWords(view);
      const phase = phaseOf(view);
      const early = now() - last.atMs < LINE_EVERY_MS && phase === last.phase;
      if (view.state !== 'running' || words === last.words || early) return;
      last = { words, phase, atMs: now() };
      screen.print(`${timeWords(new Date(now()).toISOString()).slice(11)} ${view.id} ${words}`);
    },
    stop: () => undefined,
  };
}

/** A bar while something is copied, compared or wiped; notes stand once above it. */
export async function barDisplay(screen: Screen, id: string): Promise<ProgressDisplay> {
  const { SingleBar, Presets } = await import('cli-progress');
  const bar: SingleBar = new SingleBar(
    {
      format: `${visible(id)} {phase} {bar} {words}`,
      stream: process.stdout,
      hideCursor: true,
      clearOnComplete: true,
      stopOnComplete: false,
      barsize: 24,
      fps: 5,
      gracefulExit: false,
      linewrap: false,
    },
    Presets.rect,
  );
  const told = new Set<string>();
  let started = false;
  const stop = () => {
    if (started) bar.stop();
    started = false;
  };
  return {
    show(view) {
      const notes = notesOf(view).filter((note) => !told.has(withoutTime(note)));
      if (notes.length > 0) stop();
      for (const note of notes) {
        told.add(withoutTime(note));
        screen.print(screen.paint('yellow', `${id}: ${note}`));
      }
      const progress = currentProgress(view);
      const payload = {
        phase: visible(phaseOf(view)).padEnd(9),
        words: progress ? amountWords(progress) : '',
      };
      const percent = progress?.percent ?? (isPastCopy(view) ? 100 : 0);
      if (!started) bar.start(100, percent, payload);
      else bar.update(percent, payload);
      started = true;
    },
    stop,
  };
}

function isPastCopy({ status }: OperationView): boolean {
  if (status === null) return false;
  const pastCopy: readonly string[] = kinds[status.operation].pastCopy;
  return pastCopy.includes(status.phase);
}

/** "does not answer (since 12:01:03)" is one note, however often the time moves on. */
const withoutTime = (note: string) => note.replace(/\([^)]*\d\d:\d\d[^)]*\)/, '');

export function openDisplay(screen: Screen, id: string): Promise<ProgressDisplay> {
  return screen.isTerminal ? barDisplay(screen, id) : Promise.resolve(lineDisplay(screen));
}

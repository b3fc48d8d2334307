/**
 * Turns of work that takes much of a host: so much of a kind at once, in the order in which the
 * operations were started. That is in their requests, and what runs is found again after the
 * agent's death, so nothing is written down, and no turn outlives its work.
 */
import { WAITING, type Progress } from '../../workflows/operation/contract.ts';
import type { Show } from './attempt.ts';
import { poll } from './polling.ts';

/** What wants a turn, and of what it is one: each in words, as `copies`. */
export interface Work {
  id: string;
  takes: readonly string[];
}

export interface Turns {
  /**
   * Waits for the turn, which it may have already. A cancel ends the wait.
   * @returns whether it had to wait: what was seen before may not be so any more
   */
  take(work: Work, options: TakeOptions): Promise<boolean>;
  /** Has the turn while it runs, without waiting: what it follows runs already. */
  during<T>(work: Work, run: () => Promise<T>): Promise<T>;
  /**
   * Says whether work that is followed rests, as for lack of space. Meanwhile others may begin,
   * which may be what it waits for.
   */
  rest(id: string, isResting: boolean): void;
  giveBack(id: string): void;
}

interface TakeOptions {
  /** When its operation was started: the first one is served first. */
  startedAtMs: number;
  /** Without it the activity beats while it waits. */
  show?: Show;
  /** Asked once if it would have to wait: true when the work was begun before. */
  isBegun?: () => Promise<boolean>;
}

export interface Bounds {
  /** How much of it at once, now; 0 for no limit. */
  limits: () => Promise<(taken: string) => number>;
  /** Work that an earlier life of the agent began, and that runs. */
  found: () => Promise<Work[]>;
  /** Whether work goes on that no activity follows. */
  runs: (id: string) => Promise<boolean>;
}

interface Asked extends Work {
  startedAtMs: number;
}

const NOTHING_YET: Omit<Progress, 'note'> = {
  phase: WAITING,
  percent: 0,
  copiedBytes: 0,
  totalBytes: 0,
  rateBytesPerSecond: 0,
  remainingSeconds: null,
};
const LOOK_EVERY_MS = 1000;
/** Between two steps of an operation; one that was terminated takes no other step. */
const UNSEEN_MS = 30_000;

export function createTurns(bounds: Bounds): Turns {
  const waiting = new Set<Asked>();
  let changed = Promise.withResolvers<void>();
  const tell = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const holders = createHolders(bounds, tell);

  const take = async (work: Work, { startedAtMs, show, isBegun }: TakeOptions) => {
    const asked: Asked = { ...work, startedAtMs };
    waiting.add(asked);
    let mayBeBegun = isBegun !== undefined;
    let hasWaited = false;
    try {
      return await poll<boolean>(async () => {
        const early = changed.promise;
        const limitOf = await bounds.limits();
        await holders.look();
        const place = () => placeOf(asked, waiting, holders.working(), limitOf);
        const begun = mayBeBegun && place() !== null && (await isBegun?.());
        mayBeBegun = false;
        const behind = place();
        if (behind !== null && !begun && !holders.has(work.id)) {
          hasWaited = true;
          const note = `waiting for its turn, ${behind}`;
          return { shown: { ...NOTHING_YET, note }, pauseMs: LOOK_EVERY_MS, early };
        }
        holders.hold(work);
        return { end: hasWaited };
      }, show);
    } finally {
      waiting.delete(asked);
      tell();
    }
  };

  const during = async <T>(work: Work, run: () => Promise<T>) => {
    holders.hold(work).followers += 1;
    try {
      return await run();
    } finally {
      holders.leave(work.id);
    }
  };
  return {
    take,
    during,
    rest: (id, isResting) => holders.rest(id, isResting),
    giveBack: (id) => holders.giveBack(id),
  };
}

interface Holder {
  takes: readonly string[];
  /** Activities that follow it now. */
  followers: number;
  seenAtMs: number;
  isResting: boolean;
}

/** Who has a turn. */
function createHolders({ found, runs }: Bounds, tell: () => void) {
  const holders = new Map<string, Holder>();
  let isLooked = false;
  const hold = ({ id, takes }: Work) => {
    const { followers = 0 } = holders.get(id) ?? {};
    const holder = { takes, followers, seenAtMs: Date.now(), isResting: false };
    holders.set(id, holder);
    return holder;
  };
  const giveBack = (id: string) => {
    if (holders.delete(id)) tell();
  };
  return {
    working: () => [...holders.values()].filter(({ isResting }) => !isResting),
    has: (id: string) => holders.has(id),
    hold,
    giveBack,
    rest(id: string, isResting: boolean) {
      const holder = holders.get(id);
      if (!holder || holder.isResting === isResting) return;
      holder.isResting = isResting;
      if (isResting) tell();
    },
    leave(id: string) {
      const holder = holders.get(id);
      if (!holder) return;
      holder.followers -= 1;
      holder.seenAtMs = Date.now();
    },
    /** Finds what runs at first, and later what has ended unseen. */
    async look() {
      if (!isLooked) {
        for (const work of await found()) {
          if (!holders.has(work.id)) hold(work).seenAtMs = 0;
        }
        isLooked = true;
      }
      for (const [id, holder] of holders) {
        if (holder.followers > 0 || Date.now() - holder.seenAtMs < UNSEEN_MS) continue;
        // Asked by one of those who wait, and not again for a while: it may be slow to answer.
        holder.seenAtMs = Date.now();
        const isOver = !(await runs(id));
        // A step of it may have come meanwhile.
        if (isOver && holders.get(id) === holder) giveBack(id);
      }
    },
  };
}

/** @returns null when it is its turn, else which of how many, and of what */
function placeOf(
  asked: Asked,
  waiting: Iterable<Asked>,
  holders: readonly Holder[],
  limitOf: (taken: string) => number,
): string | null {
  const used = new Map<string, number>();
  const isFull = (taken: string) => limitOf(taken) > 0 && (used.get(taken) ?? 0) >= limitOf(taken);
  const count = ({ takes }: Pick<Work, 'takes'>) => {
    for (const taken of takes) used.set(taken, (used.get(taken) ?? 0) + 1);
  };
  for (const holder of holders) count(holder);
  const behind: Asked[] = [];
  for (const one of [...waiting].sort((a, b) => a.startedAtMs - b.startedAtMs)) {
    if (one.takes.some(isFull)) behind.push(one);
    else count(one);
  }
  if (!behind.includes(asked)) return null;
  const full = asked.takes.find(isFull) ?? '';
  const same = behind.filter(({ takes }) => takes.includes(full));
  return `${same.indexOf(asked) + 1} of ${same.length}: ${limitOf(full)} ${full} at once`;
}

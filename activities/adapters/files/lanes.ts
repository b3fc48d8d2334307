/**
 * Calls of file systems wait in threads, of which there are few (UV_THREADPOOL_SIZE), and one that
 * hangs lets each of its calls hang. So each pool has two lanes, for reading and for changes: at
 * most so many of its calls are in threads at once, and the others wait here, where they take
 * nothing from other pools.
 */
import { asking, silent } from '../process/asking.ts';
import type { FilePath } from './paths.ts';

/** 128 threads are enough for seven pools that hang (client/blockflow.mjs). */
const AT_ONCE = 8;
/** Of what one process has open: there may be dozens of them on a pool that hangs. */
const AT_ONCE_IN_PROC = 2;
const mostIn = (lane: string) => (lane.startsWith('/proc/') ? AT_ONCE_IN_PROC : AT_ONCE);

interface Turn {
  begin(): void;
}
interface Lane {
  running: number;
  waiting: Set<Turn>;
}

const lanes = new Map<string, Lane>();
const folders = new Set<string>();

/** All of a pool, with the folder itself, is one place; any other path is in that of its folder. */
export const giveLane = (folder: string): void => void folders.add(folder);

function laneOf(path: string): string {
  for (const folder of folders) {
    if (path === folder || path.startsWith(`${folder}/`)) return folder;
  }
  return path.slice(0, path.lastIndexOf('/'));
}

interface Call<T> {
  what: string;
  path: FilePath;
  /** Of a call that only reads; null for one that may still change something when it is late. */
  withinMs: number | null;
  /** What is done with an answer that comes when it is not waited for any more. */
  late?: (answer: T) => void;
  call: () => Promise<T>;
}

/**
 * Makes a call in its lane.
 * @throws Retry `storage-silent` for a question without an answer in time; what the call throws
 */
export function inLane<T>({ what, path, withinMs, late, call }: Call<T>): Promise<T> {
  const words = `${what} of ${path.toString()}`;
  const name = `${laneOf(path.toString())} ${withinMs === null ? 'changes' : 'questions'}`;
  const lane = lanes.get(name) ?? { running: 0, waiting: new Set() };
  lanes.set(name, lane);
  return asking(words, () => {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let isOver = false;
    const turn = {
      begin() {
        lane.running += 1;
        void call()
          .then((answer) => (isOver ? late?.(answer) : resolve(answer)), reject)
          .finally(() => leave(name, lane));
      },
    };
    const give = () => {
      isOver = true;
      lane.waiting.delete(turn);
      reject(silent(words, withinMs ?? 0));
    };
    const timer = withinMs === null ? undefined : setTimeout(give, withinMs);
    if (lane.running < mostIn(name)) turn.begin();
    else lane.waiting.add(turn);
    return promise.finally(() => clearTimeout(timer));
  });
}

function leave(name: string, lane: Lane): void {
  lane.running -= 1;
  const [next] = lane.waiting;
  if (next) {
    lane.waiting.delete(next);
    next.begin();
  } else if (lane.running === 0) lanes.delete(name);
}

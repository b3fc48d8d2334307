/** Looks from outside, every millisecond, how long the guest goes without acknowledging a write. */
import { Worker } from 'node:worker_threads';
import type { Stretch, StretchReport } from './ack-watch-thread.ts';

export interface AckWatch {
  /** From now on gaps count for this stretch of the demo. */
  enter(stretch: Stretch): void;
  /** Ends the watch; the longest gap of each stretch in milliseconds. */
  stop(): Promise<StretchReport>;
}

/** In a thread of its own, so that what this process does meanwhile is not taken for a stall. */
export function watchAcks(serialPath: string): AckWatch {
  const file = new URL('ack-watch-thread.ts', import.meta.url);
  const worker = new Worker(file, { workerData: serialPath });
  worker.unref();
  return {
    enter: (stretch) => worker.postMessage(stretch),
    stop: () =>
      new Promise((resolve, reject) => {
        worker.once('message', resolve).once('error', reject);
        worker.postMessage('stop');
      }),
  };
}

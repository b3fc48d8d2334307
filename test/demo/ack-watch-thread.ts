/** The thread of ack-watch.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { SerialLog } from '../support/guest/serial-log.ts';

export type Stretch = 'before' | 'during' | 'after';
export type StretchReport = Record<Stretch, number>;

const serial = new SerialLog(workerData as string);
const longestMs: StretchReport = { before: 0, during: 0, after: 0 };
let stretch: Stretch = 'before';
let acknowledged = serial.acknowledged;
let changedAt = performance.now();

const timer = setInterval(() => {
  const now = performance.now();
  if (serial.acknowledged === acknowledged) return;
  acknowledged = serial.acknowledged;
  longestMs[stretch] = Math.max(longestMs[stretch], now - changedAt);
  changedAt = now;
}, 1);

parentPort?.on('message', (message: Stretch | 'stop') => {
  if (message !== 'stop') {
    stretch = message;
    return;
  }
  clearInterval(timer);
  parentPort?.postMessage(longestMs);
  parentPort?.close();
});

/** What a workflow with as many activities costs that does nothing: the measure of the fleet. */
import { proxyActivities } from '@temporalio/workflow';

/** Task queues of the activities that are asked at the same time, in the order of the steps. */
export type Shape = readonly (readonly string[])[];

interface Bare {
  bare(): Promise<void>;
}

export async function bareOperation(shape: Shape): Promise<void> {
  for (const queues of shape) {
    const step = queues.map((taskQueue) =>
      proxyActivities<Bare>({ taskQueue, startToCloseTimeout: '1 minute' }).bare(),
    );
    await Promise.all(step);
  }
}

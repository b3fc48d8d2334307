/** What serves bare workflows, or their activities, as its own process. */
import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

const [address = '', ...taskQueues] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('ERROR') });
const connection = await NativeConnection.connect({ address });
const workflowsPath = fileURLToPath(new URL('bare-workflow.ts', import.meta.url));
const activities = { bare: () => Promise.resolve() };
const workers: Worker[] = [];
for (const taskQueue of taskQueues) {
  const does = taskQueue === 'bare' ? { workflowsPath } : { activities };
  workers.push(await Worker.create({ connection, taskQueue, ...does }));
}
process.stdout.write('ready\n');
await Promise.all(workers.map((worker) => worker.run()));

/**
 * Merges the disks of VMs into single volumes, one after the other:
 *
 *   node client/examples/merge-all.ts web1/vda web1/vdb db1/vda
 *
 * The Temporal server is found as by the command line (TEMPORAL_ADDRESS, or the running `blockflow
 * up`).
 */
import { BlockflowError, connectBlockflow } from '../index.ts';

const blockflow = await connectBlockflow();
let regainedBytes = 0;
for (const name of process.argv.slice(2)) {
  const [vm = '', disk = ''] = name.split('/');
  try {
    const { volumes } = await blockflow.chain({ vm, disk });
    if (volumes.length === 1) {
      console.log(`${name}: has no snapshots`);
      continue;
    }
    const operation = await blockflow.merge({ vm, disk });
    const result = await operation.follow(({ status, progress }) => {
      if (status?.phase === 'copying' && progress) console.log(`${name}: ${progress.percent} %`);
    });
    regainedBytes += result.regainedBytes;
    console.log(`${name}: ${result.summary}`);
  } catch (error) {
    // One disk that cannot be merged does not keep the others from it.
    if (!(error instanceof BlockflowError)) throw error;
    console.error(`${name}: ${error.type}, ${error.message}`);
    process.exitCode = 4;
  }
}
console.log(`${(regainedBytes / 2 ** 20).toFixed(1)} MiB regained`);
await blockflow.close();

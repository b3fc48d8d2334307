/**
 * Prints the operations of the last 24 hours, how they ended, and the bytes they regained:
 *
 *   node client/examples/nightly-report.ts [HOURS]
 */
import { connectBlockflow } from '../index.ts';

const hours = Number(process.argv[2] ?? 24);
const since = new Date(Date.now() - hours * 3_600_000);
const blockflow = await connectBlockflow();

const operations = await blockflow.list({ since, limit: 1000 });
console.log(`${operations.length} operation(s) since ${since.toISOString()}`);
for (const { id, state, outcome, startedAt } of operations.toReversed()) {
  console.log(`  ${startedAt}  ${id.padEnd(20)}  ${outcome ?? state}`);
}

const ended = await Promise.all(
  operations
    .filter(({ outcome }) => outcome === 'merged')
    .map(async ({ vm, disk, runId }) => (await blockflow.operation(vm, disk, runId)).result()),
);
const regained = ended.map((result) => ('regainedBytes' in result ? result.regainedBytes : 0));
const regainedBytes = regained.reduce((sum, bytes) => sum + bytes, 0);
console.log(`${(regainedBytes / 2 ** 20).toFixed(1)} MiB regained`);

const events = await blockflow.events();
const failures = events.filter(({ kind, time }) => kind === 'failed' && new Date(time) >= since);
for (const { vm, disk, reason } of failures) console.log(`FAILED ${vm}/${disk}: ${reason}`);
await blockflow.close();

/**
 * `npm run test:cluster [-- arguments of test/run.mjs]`: blockflow on two Temporal servers and
 * PostgreSQL, as sites have it. They are private to each test file, as its host is.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { installClusterPrograms } from '../support/cluster/programs.mjs';

await installClusterPrograms();
const runner = fileURLToPath(new URL('../run.mjs', import.meta.url));
const given = process.argv.slice(2).filter((arg) => arg !== '--');
const args = ['--suite=cluster', ...given];
const { status } = spawnSync(process.execPath, [runner, ...args], { stdio: 'inherit' });
process.exitCode = status ?? 1;

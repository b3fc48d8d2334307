/**
 * One role as its own process, as `blockflow worker ROLE` runs it, plus the faults that a test
 * planned for it.
 */
import { workerConfig } from '../../../../worker/environment/config.ts';
import { runRole } from '../../../../worker/roles/main.ts';
import { roleNames, type RoleName } from '../../../../worker/roles/start.ts';
import { faultHook, type Fault } from '../../faults/faults.ts';

const [name, config = '{}', faults = '[]', trace] = process.argv.slice(2);
if (!roleNames.includes(name as RoleName)) throw new Error(`no role ${String(name)}`);
const planned = JSON.parse(faults) as Fault[];
await runRole(name as RoleName, workerConfig.parse(JSON.parse(config)), [
  faultHook(planned, trace),
]);
process.exit(0);

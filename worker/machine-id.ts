/** Which machine this is, as hosts of one name are common (`debian`, `localhost`). */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { readText, writeWhole } from '../activities/adapters/files/files.ts';
import { nullIfMissing } from '../activities/adapters/files/paths.ts';
import type { WorkerConfig } from './environment/config.ts';

/** machine-id(5) names it `uninitialized` before the first boot has ended. */
const MACHINE_ID = /^[0-9a-f]{32}$/;

/** That of the operating system; without one, of a UUID in the state folder. */
export async function machineId({
  machine,
  stateDir,
}: Pick<WorkerConfig, 'machine' | 'stateDir'>): Promise<string> {
  if (machine !== undefined) return machine;
  const system = (await readText('/etc/machine-id').catch(() => '')).trim();
  if (MACHINE_ID.test(system)) return system;
  const file = join(stateDir, 'machine-id');
  const known = await readText(file).catch(nullIfMissing);
  if (known !== null) return known.trim();
  await writeWhole(file, `${randomUUID()}\n`, { ifThere: 'keep' });
  return (await readText(file)).trim();
}

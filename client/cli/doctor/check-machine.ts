import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { checker, type Check } from '../../../worker/doctor/check.ts';

const { ok, fails } = checker('machine');

const TOOLS = {
  virsh: 'libvirt-clients',
  'qemu-img': 'qemu-utils',
  'qemu-io': 'qemu-utils',
  'qemu-storage-daemon': 'qemu-system-common',
  bash: 'bash',
  flock: 'util-linux',
  unshare: 'util-linux',
  ip: 'iproute2',
  openssl: 'openssl',
};

/** Node and the commands that the agents of this host call. */
export async function checkMachine(): Promise<Check[]> {
  const node = ok(`Node ${process.version}`);
  const missing = [];
  for (const name of Object.keys(TOOLS)) if (!(await isOnPath(name))) missing.push(name);
  if (missing.length === 0) return [node, ok(`tools: ${Object.keys(TOOLS).join(', ')}`)];
  const packages = new Set(missing.map((name) => TOOLS[name as keyof typeof TOOLS]));
  const fix = `apt-get install ${[...packages].join(' ')}`;
  return [node, fails(`not on the PATH: ${missing.join(', ')}`, fix)];
}

async function isOnPath(name: string): Promise<boolean> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
    const found = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

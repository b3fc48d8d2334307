/** `demo --stop`: ends kept demos, and removes what killed ones left. */
import { existsSync, readdirSync } from 'node:fs';
import { DEFAULT_HOSTS_FOLDER, reapStaleHosts } from '../support/host/host-folder.ts';
import { isAlive, killAndWait } from '../support/host/processes.ts';

export async function stopDemos(): Promise<number> {
  const names = existsSync(DEFAULT_HOSTS_FOLDER) ? readdirSync(DEFAULT_HOSTS_FOLDER) : [];
  for (const name of names) {
    const [, pid = '', startTime = ''] = /^(\d+)-(\d+)-demo-/.exec(name) ?? [];
    if (pid === '' || !isAlive(Number(pid), Number(startTime))) continue;
    process.stdout.write(`ending the demo of pid ${pid}\n`);
    await killAndWait(Number(pid), 'SIGTERM');
  }
  for (const folder of await reapStaleHosts()) process.stdout.write(`removed ${folder}\n`);
  return 0;
}

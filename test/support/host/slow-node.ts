/** A file that the QEMU of a VM writes as slowly as a test wants it to, from some moment on. */
import { z } from 'zod';
import type { PrivateHost } from './private-host.ts';

const nodes = z.object({
  return: z.array(z.looseObject({ 'node-name': z.string(), drv: z.string(), file: z.string() })),
});

/**
 * Puts a throttle between a format and its file. A mirror's own limit does not hold at READY.
 * @returns changes the rate; 0 for none
 */
export async function slowDown(
  host: PrivateHost,
  vm: string,
  file: string,
  bytesPerSecond: number,
): Promise<(bytesPerSecond: number) => Promise<void>> {
  const say = async (execute: string, args: object = {}) => {
    const answer = await host.virsh(
      'qemu-monitor-command',
      vm,
      JSON.stringify({ execute, arguments: args }),
    );
    if (answer.includes('"error"')) throw new Error(`${execute}: ${answer}`);
    return answer;
  };
  const all = nodes.parse(JSON.parse(await say('query-named-block-nodes', { flat: true }))).return;
  const storage = all.find((one) => one.file === file && one.drv === 'file')?.['node-name'];
  const format = all.find((one) => one['node-name'] === storage?.replace(/storage$/, 'format'));
  if (!storage || !format) throw new Error(`the QEMU of ${vm} has not opened ${file}`);
  const group = `slow-${storage}`;
  const limits = (rate: number) => ({ 'bps-write': rate });
  await say('object-add', {
    'qom-type': 'throttle-group',
    id: group,
    limits: limits(bytesPerSecond),
  });
  const slow = `${group}-node`;
  await say('blockdev-add', {
    driver: 'throttle',
    'node-name': slow,
    'throttle-group': group,
    file: storage,
  });
  const options = { driver: format.drv, 'node-name': format['node-name'], file: slow };
  await say('blockdev-reopen', { options: [{ ...options, discard: 'unmap', backing: null }] });
  return async (rate) => {
    const property = { path: group, property: 'limits', value: limits(rate) };
    await say('qom-set', property);
  };
}

/** Layers whose backing names are relative, or lead over symbolic links, put on a running VM. */
import { basename, dirname } from 'node:path';
import { execa } from 'execa';
import type { PrivateHost } from '../../host/private-host.ts';

/**
 * Makes `file` the active layer of a running VM's vda. `below` goes into its header as it is
 * written here, relative to the folder of `file`.
 */
export async function addLayer(
  host: PrivateHost,
  vm: string,
  { file, below, format = 'qcow2' }: { file: string; below: string; format?: string },
): Promise<void> {
  const create = ['create', '-q', '-f', 'qcow2', '-F', format, '-b', below, basename(file)];
  await execa('qemu-img', create, { cwd: dirname(file) });
  const spec = `vda,snapshot=external,file=${file}`;
  const options = ['--no-metadata', '--disk-only', '--atomic', '--reuse-external'];
  await host.virsh('snapshot-create-as', vm, ...options, '--diskspec', spec);
}

/** The backing name exactly as the header holds it. */
export async function backingName(file: string): Promise<string | undefined> {
  const { stdout } = await execa('qemu-img', ['info', '-U', '-f', 'qcow2', '--output=json', file]);
  return (JSON.parse(stdout) as { 'backing-filename'?: string })['backing-filename'];
}

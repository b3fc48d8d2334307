/** What a storage activity asks of others, where a test needs neither libvirt nor a QEMU. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The XML of a pool of a folder, as libvirt has it. */
export const dirPoolXml = (name: string, folder: string) =>
  `<pool type='dir'><name>${name}</name><target><path>${folder}</path></target></pool>`;

/** A tool that is this shell script, for who has `folder` in PATH. */
export async function stubTool(folder: string, tool: string, script: string): Promise<void> {
  await writeFile(join(folder, tool), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, tool), 0o755);
}

/** What a storage activity asks of others, where a test needs neither libvirt nor a QEMU. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { observeFile } from '../../../activities/adapters/files/files.ts';
import { ensurePoolId } from '../../../activities/pool-folder/id.ts';

/** The XML of a pool of a folder, as libvirt has it. */
export const dirPoolXml = (name: string, folder: string) =>
  `<pool type='dir'><name>${name}</name><target><path>${folder}</path></target></pool>`;

/** A tool that is this shell script, for who has `folder` in PATH. */
export async function stubTool(folder: string, tool: string, script: string): Promise<void> {
  await writeFile(join(folder, tool), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, tool), 0o755);
}

/** As an agent writes it, when it first sees the pool. */
export const POOL_ID = '0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d';
export const givePoolId = (pool: string) => ensurePoolId(pool, POOL_ID);

/** What a plan calls a file of that pool, or its folder. */
export async function idInPool(path: string): Promise<string> {
  const [, inode = '1'] = (await observeFile(path))?.identity.split(':') ?? [];
  return `${POOL_ID}:${inode}`;
}

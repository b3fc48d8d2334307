/**
 * Where the orchestrator's workflow code comes from: a bundle made once for each version of the
 * source.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, type WorkerOptions } from '@temporalio/worker';
import { writeWhole } from '../activities/adapters/files/files.ts';

const extension = extname(fileURLToPath(import.meta.url));
const folder = fileURLToPath(new URL('../workflows/', import.meta.url));
export const workflowsPath = join(folder, `index${extension}`);
/** Loaded once a V8 context, not once a workflow. */
const preloadModules = [join(folder, 'operation', 'request', `preload${extension}`)];
const payloadConverterPath = join(folder, 'operation', 'request', `unreadable-value${extension}`);

const { version: temporalVersion } = createRequire(import.meta.url)(
  '@temporalio/workflow/package.json',
) as { version: string };

/**
 * Bundling takes seconds, a start with a cached bundle does not. The name holds a hash of every
 * source file, of how they are bundled (this file), and of the versions of Node and of Temporal's
 * library, a part of which is in it.
 */
export async function workflowSource(
  cacheDir: string,
): Promise<Pick<WorkerOptions, 'workflowBundle'>> {
  const codePath = join(cacheDir, `workflows-${await sourceHash()}.js`);
  const cached = await readFile(codePath, 'utf8').catch(() => null);
  if (cached !== null) return { workflowBundle: { code: cached } };
  const sources = { workflowsPath, payloadConverterPath, preloadModules };
  const { code } = await bundleWorkflowCode({ ...sources, logger: quiet });
  await writeWhole(codePath, code, { ifThere: 'replace' });
  return { workflowBundle: { code } };
}

const silent = () => undefined;
const quiet = {
  log: silent,
  trace: silent,
  debug: silent,
  info: silent,
  warn: silent,
  error: (message: string) => process.stderr.write(`${message}\n`),
};

async function sourceHash(): Promise<string> {
  const hash = createHash('sha256').update(await readFile(fileURLToPath(import.meta.url)));
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    if (name.endsWith(extension)) hash.update(name).update(await readFile(join(folder, name)));
  }
  return hash.update(process.version).update(temporalVersion).digest('hex').slice(0, 16);
}

/**
 * Writes the bill of materials of the package (CycloneDX, by npm): what `dependencies` bring, with
 * versions and hashes of the lock file. usage: sbom.mjs FILE
 */
import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const [target = 'sbom.cdx.json'] = process.argv.slice(2);
const read = async (name) => JSON.parse(await readFile(name, 'utf8'));

const [manifest, lock] = await Promise.all([read('package.json'), read('package-lock.json')]);
const scratch = await mkdtemp(join(tmpdir(), 'blockflow-sbom-'));
try {
  // npm names the component after its folder.
  const folder = join(scratch, manifest.name);
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), JSON.stringify(withoutDevelopment(manifest)));
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify(installedBy(lock)));
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: folder, maxBuffer: 2 ** 26 });
  await writeFile(target, stdout);
} finally {
  await rm(scratch, { recursive: true, force: true });
}

function withoutDevelopment({ devDependencies, ...rest }) {
  return rest;
}

/** `npm sbom --omit dev` drops also what both kinds of dependencies need. */
function installedBy({ packages: { '': own, ...others }, ...rest }) {
  const needed = Object.entries(others).filter(([, { dev, link }]) => !dev && !link);
  return { ...rest, packages: { '': withoutDevelopment(own), ...Object.fromEntries(needed) } };
}

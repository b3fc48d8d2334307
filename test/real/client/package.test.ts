/** The package as npm makes it, unpacked where only its own dependencies can be found. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folders = ['workflows', 'activities', 'worker', 'client'];
const documents = ['README.md', 'DESIGN.md', 'CHANGELOG.md', 'LICENSE', 'package.json'];
const ofTheBuild = ['setup', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
const bill = 'dist/sbom.cdx.json';

interface Bill {
  components: { name: string; version: string; hashes: { content: string }[] }[];
}
interface Lock {
  packages: Record<string, { version: string; integrity?: string; dev?: boolean }>;
}

let scratch: string;
/** Folder of a user who has installed the package. */
let user: string;
let installed: string;
/** Begun early: it waits 5 s for a server that is not there. */
let doctor: ReturnType<typeof blockflow>;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'blockflow-package-'));
  user = join(scratch, 'user');
  installed = join(user, 'node_modules', 'blockflow');
  // The build writes into its own tree: not into the one that others are using.
  const tree = join(scratch, 'tree');
  for (const name of [...folders, ...documents, ...ofTheBuild]) {
    await cp(join(root, name), join(tree, name), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'));
  await execa('npm', ['pack', '--offline', '--pack-destination', scratch], { cwd: tree });
  const [archive = ''] = (await readdir(scratch)).filter((name) => name.endsWith('.tgz'));
  await mkdir(installed, { recursive: true });
  const unpack = ['-xzf', join(scratch, archive), '-C', installed, '--strip-components=1'];
  await execa('tar', unpack);
  await linkDependencies();
  doctor = blockflow('doctor', '--json');
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Those of `dependencies` and no other: what is needed only to develop must not be missed. */
async function linkDependencies(): Promise<void> {
  const text = await readFile(join(installed, 'package.json'), 'utf8');
  const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> };
  for (const name of Object.keys(dependencies)) {
    const link = join(user, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(root, 'node_modules', name), link);
  }
}

const filesIn = async (folder: string) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1));

/** Runs Node in the user's folder; nothing of the machine's own blockflow or libvirt is seen. */
const node = (...args: string[]) =>
  execa(process.execPath, args, {
    cwd: user,
    reject: false,
    env: {
      NODE_OPTIONS: '',
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      BLOCKFLOW_STATE_DIR: join(scratch, 'state'),
      BLOCKFLOW_CONNECT: 'test:///default',
    },
  });
const blockflow = (...args: string[]) => node(join(installed, 'client', 'blockflow.mjs'), ...args);

describe('The package', () => {
  it('holds what every source file became, and nothing else', async () => {
    // What was built, and not what others are changing meanwhile.
    const sources = (await filesIn(join(scratch, 'tree'))).filter((path) =>
      folders.some((folder) => path.startsWith(`${folder}/`)),
    );
    const built = sources.flatMap((path) => {
      // What starts before there is anything to load.
      if (/^client\/[^/]+\.mjs$/.test(path)) return [path];
      const name = path.replace(/(?<!\.d)\.ts$/, '');
      return name === path ? [`dist/${path}`] : [`dist/${name}.js`, `dist/${name}.d.ts`];
    });
    expect((await filesIn(installed)).sort()).toEqual([...built, ...documents, bill].sort());
  });

  it('says what it brings, each with the hash of the lock file', async () => {
    const readJson = async (path: string): Promise<unknown> =>
      JSON.parse(await readFile(path, 'utf8'));
    const { components } = (await readJson(join(installed, bill))) as Bill;
    const { packages } = (await readJson(join(root, 'package-lock.json'))) as Lock;
    const wanted = Object.entries(packages).flatMap(([path, { version, integrity, dev }]) => {
      if (dev || !integrity) return [];
      const name = path.replace(/^.*node_modules\//, '');
      return [`${name} ${version} ${Buffer.from(integrity.slice(7), 'base64').toString('hex')}`];
    });
    const said = components.map(
      ({ name, version, hashes: [hash] }) => `${name} ${version} ${hash?.content}`,
    );
    expect(said.sort()).toEqual([...new Set(wanted)].sort());
  });

  it('has a command that runs', async () => {
    const { exitCode, stdout, stderr } = await blockflow('--help');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('Usage: blockflow');
    expect(stdout).toContain('  merge ');
  });

  it('has workflows that an orchestrator can bundle', async () => {
    const bundle = join(installed, 'dist', 'worker', 'bundle.js');
    const script =
      `const { workflowSource } = await import(${JSON.stringify(bundle)});` +
      `console.log((await workflowSource(${JSON.stringify(user)})).workflowBundle.code.length)`;
    const { stdout, stderr } = await node('--input-type=module', '--eval', script);
    expect(stderr).toBe('');
    expect(Number(stdout)).toBeGreaterThan(100_000);
  });

  it('is a typed library', async () => {
    const script = [
      `import { connectBlockflow, type ClientFailureCode, type MergePlan } from 'blockflow';`,
      `const blockflow = await connectBlockflow();`,
      `const merge = await blockflow.merge({ vm: 'web1', disk: 'vda' });`,
      `export const summary: string = (await merge.result()).summary;`,
      `// @ts-expect-error`,
      `export const count: number = (await merge.result()).summary;`,
      `// @ts-expect-error`,
      `export const mode: MergePlan['mode'] = 'sideways';`,
      // A status is that of its kind, and every code of a refusal is in the union.
      `const { status } = await merge.status();`,
      `if (status?.operation === 'LiveMerge') status.committedBytes satisfies number;`,
      `if (status?.operation === 'MoveImage') {`,
      `  status.imageBytes satisfies number;`,
      `  // @ts-expect-error`,
      `  status.committedBytes;`,
      `}`,
      `export const codes: ClientFailureCode[] = ['vm-running', 'name-taken', 'same-pool'];`,
      `// @ts-expect-error`,
      `export const code: ClientFailureCode = 'no-such-code';`,
      `const move = await blockflow.start('MoveImage', { to: 'vault' });`,
      `export const removal: string | null = (await move.result()).removal;`,
    ];
    await writeFile(join(user, 'script.mts'), script.join('\n'));
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--lib', 'es2023'];
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const { stdout } = await node(tsc, ...options, '--module', 'nodenext', 'script.mts');
    expect(stdout).toBe('');
    const { stderr } = await node('--input-type=module', '--eval', `await import('blockflow')`);
    expect(stderr).toBe('');
  });

  it('has a doctor that reaches libvirt and says what it misses', async () => {
    const { exitCode, stdout, stderr } = await doctor;
    expect({ exitCode, stderr }).toEqual({ exitCode: 4, stderr: '' });
    const { checks } = JSON.parse(stdout) as { checks: unknown[] };
    const check = (area: string, state: string, found: string) =>
      expect.objectContaining({ area, state, found: expect.stringContaining(found) as unknown });
    expect(checks).toContainEqual(check('machine', 'ok', process.version));
    expect(checks).toContainEqual(check('libvirt', 'ok', 'test:///default'));
    expect(checks).toContainEqual(check('temporal', 'fails', '127.0.0.1:1'));
  });
});

/** The pivot's script against a `virsh` that writes down what it is told. */
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from '@jest/globals';
import { createPivots, type PivotRequest } from '../../../activities/adapters/virsh/safe-pivot.ts';

const PATH = process.env['PATH'];
export const UUID = '11111111-2222-4333-8444-555555555555';
export let root: string;

/** Answers as virsh does in a session: each command is echoed, then its output. */
const STUB = `#!/bin/bash
cd "$(dirname "$0")"
answer() {
  echo "$1" >>log
  local line=\${1//\\'/}
  case \${line% } in
    suspend*) cat refusal unsaid; [[ -s refusal ]] || echo 'paused (user)' >state ;;
    resume*) cat unresumed; [[ -s unresumed ]] || echo 'running (unpaused)' >state ;;
    *' vdb --raw') cat job-vdb ;;
    *' --raw') cat job ;;
    *' vdb --pivot') cat refused-vdb; grep -q error refused-vdb || echo /new/b.qcow2 >source-vdb ;;
    *' vdb --abort') cat refused-vdb ;;
    blockjob*--pivot) cat pivot; grep -q error pivot || echo /images/base.qcow2 >source ;;
    dumpxml*) cat xml ;;
    snapshot-create*) cat snapshot ;;
    domblklist*) echo " vda      $(cat source)"; echo " vdb      $(cat source-vdb)" ;;
    domstate*) cat state ;;
  esac
}
if (($# > 3)); then answer "\${*:4}"; exit; fi
while IFS= read -r line; do echo "virsh # $line"; answer "$line"; done
`;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'blockflow-pivot-'));
  const bin = join(root, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'virsh'), STUB);
  await writeFile(join(bin, 'sync'), `#!/bin/sh\necho "sync $(readlink "$1")" >>'${bin}/log'\n`);
  for (const tool of ['virsh', 'sync']) await chmod(join(bin, tool), 0o755);
  await set({ state: 'running (booted)', source: '/images/top.qcow2', pivot: '', refusal: '' });
  await set({ 'source-vdb': '/old/b.qcow2', 'refused-vdb': '', 'job-vdb': '', job: '' });
  await set({ xml: '', snapshot: '' });
  // Libvirt's words of a suspension that it has made all the same.
  await set({ unsaid: '', unresumed: '' });
  process.env['PATH'] = `${bin}:${PATH}`;
});
afterEach(async () => {
  process.env['PATH'] = PATH;
  await rm(root, { recursive: true });
});

/** Replaces whole files: an empty one, seen in between, is the answer of another state. */
export async function set(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = join(root, 'bin', name);
    await writeFile(`${file}.new`, text && `${text}\n`);
    await rename(`${file}.new`, file);
  }
}
export const read = async (name: string) =>
  (await readFile(join(root, 'bin', name), 'utf8')).trim();
export const commands = async () =>
  (await read('log')).split('\n').filter((line) => !line.startsWith('echo'));

export const runPivot = async (changes: Partial<PivotRequest>, disks: PivotRequest['disks']) => {
  const pivots = createPivots('test:///x');
  const whole = { uuid: UUID, action: 'pivot' as const, persistent: true, folder: root };
  const request = { ...whole, budgetMs: 150 };
  return pivots.run({ ...request, disks, ...changes }).finally(() => pivots.close());
};
export const vda = (resultFile = join(root, 'run/pivot')) => ({
  disk: 'vda',
  job: 'active-commit' as const,
  to: '/images/base.qcow2',
  record: '<job/>',
  kept: null,
  resultFile,
});
export const pivot = async (changes: Partial<PivotRequest> = {}, resultFile?: string) => {
  const [report] = await runPivot(changes, [vda(resultFile)]);
  return report;
};

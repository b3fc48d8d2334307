/** The demo as a newcomer runs it: a child process, and what it says. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from '@jest/globals';
import { execa } from 'execa';
import { DEFAULT_HOSTS_FOLDER, reapStaleHosts } from '../../support/host/host-folder.ts';
import { argumentsOf, otherPids, startTimeOf } from '../../support/host/processes.ts';
import { exitsWith } from '../../support/host/roles/says.ts';
import { waitUntil } from '../../support/wait-until.ts';

const script = fileURLToPath(new URL('../../demo/demo.ts', import.meta.url));
let demo: ReturnType<typeof start> | undefined;
let owner = '';

function start() {
  return execa(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    all: true,
    reject: false,
    env: { NODE_OPTIONS: '' },
  });
}

function run() {
  const started = start();
  owner = `${started.pid}-${startTimeOf(started.pid ?? 0)}-`;
  demo = started;
  return started;
}

/** Folders of this demo's host that are still there. */
const leftovers = () => readdirSync(DEFAULT_HOSTS_FOLDER).filter((name) => name.startsWith(owner));

/** Programs whose command lines name this demo's host. */
const survivors = () =>
  otherPids()
    .map((pid) => argumentsOf(pid).join(' '))
    .filter((line) => line.includes(owner));

afterEach(async () => {
  demo?.kill('SIGTERM');
  await demo;
});

describe('npm run demo', () => {
  it('keeps its promises, and leaves nothing behind', async () => {
    const { exitCode, all } = await run();
    exitsWith({ exitCode, all }, 0);
    const killed = /host agent +pid (\d+) killed at ([\d.]+) %, pid (\d+) went on/.exec(all);
    expect(killed).not.toBeNull();
    expect(killed?.[1]).not.toBe(killed?.[3]);
    expect(Number(killed?.[2])).toBeGreaterThanOrEqual(50);
    expect(Number(killed?.[2])).toBeLessThan(100);
    expect(all).toMatch(/chain before +web1\.qcow2 .* ← web1-before-upgrade\.qcow2/);
    expect(all).toMatch(/chain after +web1\.qcow2 \([^←]*\)\n/);
    const counts = /writes acknowledged +(\d+): (\d+) .*, (\d+) .*, (\d+) .*, (\d+) /.exec(all);
    const [total = 0, ...parts] = (counts ?? []).slice(1).map(Number);
    expect(parts.every((part) => part > 0)).toBe(true);
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total);
    expect(all).toMatch(/writes lost +0: /);
    expect(all).toMatch(/regained +3\d\d\.\d MiB/);
    expect(all).toMatch(/guest paused by pivot +\d+ ms/);
    expect(all).toMatch(/boots from +\S+\/archive\/web1\.qcow2\n/);
    expect(all).toMatch(/writes lost +0 of \d+, the source is deleted/);
    expect(all).toMatch(/the same QEMU writes to +\S+\/images\/web1\.qcow2\n/);
    expect(all).toMatch(/libvirtd +pid \d+ killed at [\d.]+ %, the move went on/);
    expect(all).toMatch(/longest gap in writes +\d+ ms during the live move, \d+ ms before/);
    expect(all).toMatch(/writes lost +0 of \d+, of which [1-9]\d* during the live move/);
    expect(all).toMatch(/Web UI +http:\S+web1%2Fvda/);
    // Not a terminal: plain lines, no colours, no bar.
    expect(all).toMatch(/web1\/vda copying [\d.]+ %/);
    expect(all).not.toContain('\u001b');
    expect(leftovers()).toEqual([]);
  }, 240_000);

  it('cleans up when it is interrupted while it starts', async () => {
    const started = run();
    await waitUntil('the host of the demo', () => leftovers().length > 0, { timeoutMs: 60_000 });
    started.kill('SIGINT');
    const { exitCode, all } = await started;
    exitsWith({ exitCode, all }, 1);
    expect(all).toContain('SIGINT: cleaning up');
    expect(leftovers()).toEqual([]);
  }, 120_000);

  it('is reaped by a later start when it was killed: host, Temporal, roles', async () => {
    const started = run();
    const all = () => survivors().join('\n');
    const programs = ['libvirtd', 'temporal.db', 'orchestrator', 'qemu-system'];
    await waitUntil(
      () => `${programs.join()} to run, but only\n${all()}`,
      () => programs.every((program) => all().includes(program)),
      { timeoutMs: 100_000, intervalMs: 200 },
    );
    started.kill('SIGKILL');
    await started;
    expect(survivors()).not.toEqual([]);
    await reapStaleHosts();
    expect(leftovers()).toEqual([]);
    // The sessions of virsh end by themselves when their libvirtd is gone.
    await waitUntil(
      () => `nothing to be left of\n${all()}`,
      () => survivors().length === 0,
    );
  }, 150_000);
});

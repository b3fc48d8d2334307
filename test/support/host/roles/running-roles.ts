/** The roles of one host as real processes, which a test starts, kills and stops. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { WorkerConfig } from '../../../../worker/environment/config.ts';
import type { RoleName } from '../../../../worker/roles/start.ts';
import type { Fault } from '../../faults/faults.ts';
import { isPaused } from '../processes.ts';
import { waitUntil } from '../../wait-until.ts';

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const roleScript = pathOf('role-process.ts');
const hook = pathOf('../stripped-once.mjs');
const nodeOptions = ['--disable-warning=ExperimentalWarning', '--import', hook];

/** A process of a role; there may be a second SPM agent. */
export type Instance = RoleName | 'spm2';
const roleOf = (name: Instance): RoleName => (name === 'spm2' ? 'spm' : name);

export interface RunningRoles {
  startRole(name: Instance, faults?: readonly Fault[]): Promise<void>;
  /** SIGKILL by default; returns when the process is gone. */
  killRole(name: Instance, signal?: NodeJS.Signals): Promise<void>;
  killRoles(): Promise<void>;
  /** Resolves when the role's process has ended, for example by a planned fault. */
  roleEnded(name: Instance): Promise<RoleEnd | undefined>;
  signalRole(name: Instance, signal: NodeJS.Signals): void;
  /**
   * Resolves when a planned fault has stopped the role; `signalRole(name, 'SIGCONT')` ends that.
   */
  roleStopped(name: Instance): Promise<void>;
  /** Process id of a running role. */
  rolePid(name: Instance): number;
  /**
   * Starts again what was killed, and roles with planned faults: the next test finds all whole. The
   * second SPM agent is ended.
   */
  revive(): Promise<void>;
}

export interface Place {
  /** Folder of the logs. */
  root: string;
  config: Partial<WorkerConfig>;
  /** File of the effects that pass the door. */
  trace: string;
  /** Asked again at each start. */
  env: () => Record<string, string>;
}

export function runRoles(place: Place): RunningRoles {
  const processes = new Map<Instance, RoleProcess & { faulty: boolean }>();
  const rolePid = (name: Instance) => processes.get(name)?.pid ?? 0;
  const roles: RunningRoles = {
    rolePid,
    async startRole(name, faults = []) {
      const faulty = faults.length > 0;
      processes.set(name, { faulty, ...(await startRoleProcess(place, name, faults)) });
    },
    async killRole(name, signal = 'SIGKILL') {
      processes.get(name)?.kill(signal);
      await processes.get(name)?.ended;
    },
    async killRoles() {
      for (const name of processes.keys()) await roles.killRole(name);
    },
    roleEnded: async (name) => processes.get(name)?.ended,
    roleStopped: (name) => isStopped(rolePid(name), name),
    signalRole: (name, signal) => processes.get(name)?.kill(signal),
    async revive() {
      for (const [name, role] of processes) {
        const isSecond = name === 'spm2';
        if (!isSecond && !role.isOver() && !role.faulty) continue;
        role.kill('SIGKILL');
        await role.ended;
        processes.delete(name);
        if (!isSecond) await roles.startRole(name);
      }
    },
  };
  return roles;
}

async function isStopped(pid: number, name: string): Promise<void> {
  await waitUntil(`${name} to stop at its fault`, () => isPaused(pid), { timeoutMs: 60_000 });
}

interface RoleEnd {
  exitCode: number | null;
  signal: string | null;
}

interface RoleProcess {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  isOver(): boolean;
  ended: Promise<RoleEnd>;
}

async function startRoleProcess(
  { root, config, trace, env }: Place,
  name: Instance,
  faults: readonly Fault[],
): Promise<RoleProcess> {
  const role = roleOf(name);
  const args = [role, JSON.stringify(config), JSON.stringify(faults), trace];
  const logFile = join(root, `${name}.log`);
  const before = (await readFile(logFile, 'utf8').catch(() => '')).length;
  const output = { file: logFile, append: true } as const;
  const child = execa(process.execPath, [...nodeOptions, roleScript, ...args], {
    env: { NODE_OPTIONS: '', UV_THREADPOOL_SIZE: '128', ...env() },
    stdin: 'ignore',
    stdout: output,
    stderr: output,
    buffer: false,
    reject: false,
    cleanup: true,
  });
  let over = false;
  // Not the end of its output: a child that waits for a lock may outlive it, and keeps that open.
  const exit = once(child.nodeChildProcess, 'exit') as Promise<[number | null, string | null]>;
  const ended = exit.then(([exitCode, signal]) => ((over = true), { exitCode, signal }));
  let text = '';
  const isReady = async () => {
    // One that a planned fault has ended since may have been ready.
    const wasOver = over;
    text = (await readFile(logFile, 'utf8').catch(() => '')).slice(before);
    if (text.includes(`${role} is ready`)) return true;
    if (wasOver) throw new Error(`${role} ended while it started: ${text.slice(-2000)}`);
    return false;
  };
  const what = () => `${role} to be ready; it said: ${text.slice(-2000)}`;
  // The first orchestrator of a version bundles its workflows, on a machine that may be busy.
  await waitUntil(what, isReady, { timeoutMs: 120_000 });
  return {
    pid: child.pid ?? 0,
    kill: (signal) => void child.kill(signal),
    isOver: () => over,
    ended,
  };
}

/** Programs as a user starts them: the command line and scripts, each a process of its own. */
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { HOST, type System } from '../system.ts';

const pathOf = (name: string) => fileURLToPath(new URL(`../../../../${name}`, import.meta.url));
const launcher = pathOf('client/blockflow.mjs');

export interface Answer {
  exitCode: number | undefined;
  /** Standard output. */
  printed: string;
  /** Standard error. */
  told: string;
}
export type Typed = (...args: string[]) => Promise<Answer>;
type Environment = Record<string, string>;

/** What a user of this system has in the environment. */
export const environmentOf = (system: System): Environment => ({
  TEMPORAL_ADDRESS: system.temporal.address,
  TEMPORAL_NAMESPACE: system.namespace,
  BLOCKFLOW_HOST: HOST,
  BLOCKFLOW_STATE_DIR: system.stateDir,
  BLOCKFLOW_RUNTIME_DIR: system.runtimeDir,
  BLOCKFLOW_CONNECT: system.host.uri,
});

/** How a command becomes one of another user. */
export type Through = (command: string[]) => string[];

/** Types `blockflow ...`. */
export const commandLine =
  (env: Environment, through?: Through): Typed =>
  (...args) =>
    answerOf(startNode([launcher, ...args], env, through));

/** Types `node client/examples/... `. */
export const scripts =
  (env: Environment): Typed =>
  (name, ...args) => {
    const quiet = '--disable-warning=ExperimentalWarning';
    return answerOf(startNode([quiet, pathOf(`client/examples/${name}`), ...args], env));
  };

/** Types `blockflow worker ...` and leaves it running; its log is on standard error. */
export const startWorker = (env: Environment, ...args: string[]) =>
  startNode([launcher, 'worker', ...args], env);

/** Types `blockflow up` and leaves it running. */
export const startUp = (env: Environment, through?: Through) =>
  startNode([launcher, 'up'], env, through, 600_000);

function startNode(
  args: readonly string[],
  env: Environment,
  through: Through = (all) => all,
  timeout = 90_000,
) {
  const settings = { NODE_OPTIONS: '', ...env };
  // Whatever a test left running when it failed must not keep the tests from ending.
  const limits = { timeout, forceKillAfterDelay: 5000 };
  const [file = '', ...rest] = through([process.execPath, ...args]);
  return execa(file, rest, {
    env: settings,
    stdin: 'ignore',
    reject: false,
    ...limits,
  });
}

async function answerOf(program: ReturnType<typeof startNode>): Promise<Answer> {
  const { exitCode, stdout, stderr } = await program;
  return { exitCode, printed: stdout, told: stderr };
}

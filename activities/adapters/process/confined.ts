/**
 * How a tool that only reads images is run: a guest wrote what it parses, so an error in its parser
 * must not have the agent's rights (D51).
 */
import { spawnSync } from 'node:child_process';
import { hasCapability, ownStatus } from './capabilities.ts';

/** The kernel's overflow user, who owns no image. */
const OVERFLOW_USER = 65_534;
/** Of its address space: what it reads tells it how much memory it needs. */
const MOST_MEMORY_BYTES = 4 * 2 ** 30;

/** Numbers of capabilities(7) of an agent that can take rights from what it starts, and kill it. */
const NEEDED = { DAC_READ_SEARCH: 2, KILL: 5, SETGID: 6, SETUID: 7, SETPCAP: 8 };

const LIMITED = ['prlimit', `--as=${MOST_MEMORY_BYTES}`];
const CONFINED = [
  ...LIMITED,
  ...[
    'setpriv',
    `--reuid=${OVERFLOW_USER}`,
    `--regid=${OVERFLOW_USER}`,
    '--clear-groups',
    '--no-new-privs',
  ],
  ...['inh-caps', 'ambient-caps', 'bounding-set'].map((set) => `--${set}=-all,+dac_read_search`),
];

/**
 * Words before a command, which then may read files of all users, write none, and has bounded
 * memory. Of an agent that may not give up its rights, as in a user namespace without that user,
 * only its memory is bounded.
 */
export function confinement(): readonly string[] {
  known ??= mayConfine(ownStatus()) && works() ? CONFINED : LIMITED;
  return known;
}
let known: readonly string[] | null = null;

/** @param status text of `/proc/self/status`, see proc(5) */
export function mayConfine(status: string): boolean {
  return Object.values(NEEDED).every((bit) => hasCapability(bit, status));
}

/** Once, at the first question: it takes some milliseconds. */
function works(): boolean {
  const [file = '', ...args] = CONFINED;
  return spawnSync(file, [...args, 'true'], { stdio: 'ignore' }).status === 0;
}

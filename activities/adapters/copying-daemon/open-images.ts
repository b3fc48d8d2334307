/**
 * A qemu-storage-daemon that has qcow2 images open for writing as long as it is used, under QEMU's
 * image locks: no VM starts with one of them meanwhile. It ends with us: `setpriv` lets the kernel
 * send it SIGTERM when the agent dies, which it obeys between two commands (docs/lab/qemu.md).
 */
import { execa } from 'execa';
import { childEnvironment } from '../process/environment.ts';
import { CommandError } from '../process/command.ts';
import { LOCKED } from './daemon.ts';
import { linesOf, parseMessage, type QmpCommand } from './qmp.ts';

export interface OpenImage {
  /** As commands name it. */
  node: string;
  path: string;
}

/** Gives one command. @returns null when it was done, else the words that say why not */
export type Ask = (command: QmpCommand) => Promise<string | null>;

/** @returns null when another process has one of the images open */
export async function whileOpen<T>(
  images: readonly OpenImage[],
  use: (ask: Ask) => Promise<T>,
): Promise<T | null> {
  const args = ['--pdeathsig', 'TERM', 'qemu-storage-daemon', ...images.flatMap(blockdev)];
  const monitor = ['--chardev', 'stdio,id=stdio', '--monitor', 'chardev=stdio'];
  const env = childEnvironment({ LC_ALL: 'C' });
  const options = { env, extendEnv: false, stdin: 'pipe', reject: false } as const;
  const daemon = execa('setpriv', [...args, ...monitor], options);
  // Not `daemon` itself: comparing the whole of execa's type with a promise takes tsc seconds.
  const ended = (async () => ({ stderr: (await daemon).stderr }))();
  const heard = answersOf(daemon.stdout.setEncoding('utf8') as AsyncIterable<string>);
  const ask: Ask = async (command) => {
    daemon.stdin.write(`${JSON.stringify(command)}\n`);
    const { value } = await heard.next();
    return value === undefined ? 'qemu-storage-daemon ended while it was asked' : value.refusal;
  };
  // It greets when the images are open.
  if ((await heard.next()).done) {
    const { stderr } = await ended;
    if (LOCKED.test(stderr)) return null;
    throw CommandError.of('qemu-storage-daemon', stderr);
  }
  try {
    await ask({ execute: 'qmp_capabilities' });
    return await use(ask);
  } finally {
    daemon.kill('SIGTERM');
    await ended;
  }
}

/** The backing file stays closed: an internal snapshot is of one image alone. */
function blockdev({ node, path }: OpenImage): string[] {
  const file = { driver: 'file', filename: path };
  const image = { driver: 'qcow2', 'node-name': node, backing: null, file };
  return ['--blockdev', JSON.stringify(image)];
}

/** The greeting, then one answer to each command. */
async function* answersOf(pieces: AsyncIterable<string>) {
  for await (const line of linesOf(pieces)) {
    const message = parseMessage('its standard output', line);
    if ('event' in message) continue;
    yield { refusal: 'error' in message ? message.error.desc : null };
  }
}

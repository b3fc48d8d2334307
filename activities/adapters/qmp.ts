/**
 * Speaks QMP to a daemon over its unix socket: one short connection for each question, so that
 * nobody keeps it.
 */
import { createConnection } from 'node:net';
import { z } from 'zod';

export interface QmpCommand {
  execute: string;
  arguments?: Record<string, unknown>;
}

/** QEMU's answer to a command that it refused. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
  readonly command: string;

  constructor(command: string, description: string) {
    super(description);
    this.command = command;
  }
}

const ANSWER_WITHIN_MS = 10_000;
const message = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ event: z.string() }),
  z.object({ return: z.unknown() }),
  z.object({ error: z.object({ desc: z.string() }) }),
]);

/**
 * Gives the commands one after the other and returns their answers.
 * @returns null when nobody listens on the socket
 * @throws QmpError for the first command that is refused; Error when the daemon does not answer in
 * time.
 */
export function qmp(socket: string, commands: readonly QmpCommand[]): Promise<unknown[] | null> {
  const queue = [{ execute: 'qmp_capabilities' }, ...commands];
  const answers: unknown[] = [];
  return new Promise((resolve, reject) => {
    const connection = createConnection(socket);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      connection.destroy();
      settle();
    };
    const fail = (error: Error) => end(() => reject(error));
    const silent = () => fail(new Error(`${socket} did not answer in ${ANSWER_WITHIN_MS} ms`));
    const timer = setTimeout(silent, ANSWER_WITHIN_MS);
    const next = () => {
      const command = queue[answers.length];
      if (command) connection.write(`${JSON.stringify(command)}\n`);
      else end(() => resolve(answers.slice(1)));
    };
    connection.on('error', (error: NodeJS.ErrnoException) => {
      const nobody = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      end(() => (nobody ? resolve(null) : reject(error)));
    });
    // The daemon ended: `quit` is answered by this alone at times.
    connection.on('close', () => end(() => resolve(null)));
    const hear = (line: string) => {
      const heard = message.parse(JSON.parse(line));
      if ('event' in heard) return;
      if ('error' in heard) {
        return fail(new QmpError(queue[answers.length]?.execute ?? '', heard.error.desc));
      }
      if ('return' in heard) answers.push(heard.return);
      next();
    };
    let text = '';
    connection.setEncoding('utf8').on('data', (more: string) => {
      const lines = (text + more).split('\n');
      text = lines.pop() ?? '';
      lines.forEach(hear);
    });
  });
}

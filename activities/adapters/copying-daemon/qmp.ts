/**
 * Speaks QMP to a daemon over its unix socket: one short connection for each question, so that
 * nobody keeps it.
 */
import { createConnection } from 'node:net';
import { z } from 'zod';
import { parseReply, readJson, unexpected } from '../reply.ts';

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
/** Exactly one of these; whatever else is in a message does not matter. */
const message = z.union([
  z.object({ QMP: z.object({}) }),
  z.object({ event: z.string() }),
  z.object({ return: z.json() }),
  z.object({ error: z.object({ desc: z.string() }) }),
]);
const KINDS = ['QMP', 'event', 'return', 'error'];

/** One line of the daemon. @throws Retry `unexpected-reply` */
export function parseMessage(socket: string, line: string): z.output<typeof message> {
  const from = `the daemon at ${socket}`;
  const value = readJson(from, line);
  const kinds = KINDS.filter((kind) => Object.hasOwn(Object(value) as object, kind));
  if (kinds.length !== 1) throw unexpected(from, 'it is no QMP message', line);
  return parseReply(message, from, value);
}

/**
 * Gives the commands one after the other and returns their answers.
 * @returns null when nobody listens on the socket
 * @throws QmpError for the first command that is refused; Error when the daemon does not answer in
 * time; Retry `unexpected-reply` when it does not speak QMP.
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
    let greeted = false;
    const hear = (line: string) => {
      const heard = parseMessage(socket, line);
      if ('event' in heard) return;
      // A second greeting, or an answer to nothing, would let a command be given twice.
      if ('QMP' in heard === greeted) throw unexpected(socket, 'it does not greet first', line);
      greeted = true;
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
      try {
        lines.forEach(hear);
      } catch (error) {
        fail(error as Error);
      }
    });
  });
}

/**
 * Speaks QMP to a daemon over its unix socket: one short connection for each question, so that
 * no client keeps it.
 */
import { createConnection, type Socket } from 'node:net';
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
 * @returns null when no process listens on the socket
 * @throws QmpError for the first command that is refused; Error when the daemon does not answer in
 * time; Retry `unexpected-reply` when it does not speak QMP.
 */
export async function qmp(
  socket: string,
  commands: readonly QmpCommand[],
): Promise<unknown[] | null> {
  const connection = createConnection(socket).setEncoding('utf8');
  connection.on('error', () => undefined);
  const silence = new Error(`${socket} did not answer in ${ANSWER_WITHIN_MS} ms`);
  const timer = setTimeout(() => connection.destroy(silence), ANSWER_WITHIN_MS);
  try {
    return await converse(connection, socket, [{ execute: 'qmp_capabilities' }, ...commands]);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null;
    throw error;
  } finally {
    clearTimeout(timer);
    connection.destroy();
  }
}

/** @returns the answers to all commands but the first, which opens the conversation */
async function converse(
  connection: Socket,
  socket: string,
  commands: readonly QmpCommand[],
): Promise<unknown[] | null> {
  const answers: unknown[] = [];
  let isGreeted = false;
  for await (const line of linesOf(connection as AsyncIterable<string>)) {
    const heard = parseMessage(socket, line);
    if ('event' in heard) continue;
    // A second greeting, or an answer to nothing, would let a command be given twice.
    if ('QMP' in heard === isGreeted) throw unexpected(socket, 'it does not greet first', line);
    isGreeted = true;
    if ('error' in heard) {
      throw new QmpError(commands[answers.length]?.execute ?? '', heard.error.desc);
    }
    if ('return' in heard) answers.push(heard.return);
    const next = commands[answers.length];
    if (!next) return answers.slice(1);
    connection.write(`${JSON.stringify(next)}\n`);
  }
  // The daemon ended: `quit` is answered by this alone at times.
  return null;
}

/** Whole lines of what comes in pieces. */
export async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const text of pieces) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

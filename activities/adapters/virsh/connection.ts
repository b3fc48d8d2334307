/** How virsh is spoken to: what ends soon in open sessions, the rest as processes of their own. */
import { CommandError, run } from '../process/command.ts';
import { withNamelessFile } from '../files/files.ts';
import { noAnswer } from '../reply.ts';
import { createVirshSessions } from './session.ts';

export interface VirshConnection {
  uri: string;
  /** A question in words of a fixed alphabet (UUIDs, targets, options). */
  ask(line: string): Promise<string>;
  /** A command that ends soon, in an open session where its words allow that, else by `run`. */
  command(...args: string[]): Promise<string>;
  /** Any command, as an argument array. */
  run(...args: string[]): Promise<string>;
  /** A command that reads a text from a file. @param args its words, given that file's path */
  feed(text: string, args: (path: string) => string[]): Promise<string>;
  close(): void;
}

/**
 * Both ways throw CommandError with virsh's words, and Retry `libvirt-away` when libvirtd does not
 * answer.
 */
export function connectVirsh(uri: string): VirshConnection {
  const sessions = createVirshSessions(uri);
  const orAway = (error: unknown): never => {
    if (error instanceof CommandError && isDisconnect(error.stderr))
      throw noAnswer(uri, error.stderr, error);
    throw error;
  };
  const asProcess = (...args: string[]) => run('virsh', ['-q', '-c', uri, ...args]).catch(orAway);
  const command = (...args: string[]) =>
    sessions.command(args)?.catch(orAway) ?? asProcess(...args);
  return {
    uri,
    ask: (line) => sessions.ask(line).catch(orAway),
    command,
    run: asProcess,
    feed: (text, args) => withNamelessFile(text, (path) => command(...args(path))),
    close: () => sessions.close(),
  };
}

const DISCONNECTS = [
  'failed to connect',
  'Failed to connect socket',
  'Disconnected from',
  'Reconnected to',
  'client socket is closed',
  'Cannot recv data',
  'Cannot write data',
  'End of file while reading',
  'Connection refused',
  'Connection reset',
  'did not answer in time',
];
const isDisconnect = (words: string) =>
  DISCONNECTS.some((text) => words.toLowerCase().includes(text.toLowerCase()));

/** For a `catch`: what virsh says of something that is gone is an answer, not an error. */
export const nullIf =
  (said: RegExp) =>
  (error: unknown): null => {
    if (error instanceof CommandError && said.test(error.stderr)) return null;
    throw error;
  };

/** A transient domain goes when it stops. */
export const nullIfNoDomain = nullIf(/failed to get domain/);

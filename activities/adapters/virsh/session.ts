/**
 * A virsh that stays open for questions: a command costs 1 ms in it, and 10 to 25 ms as a process
 * of its own. Only words of a fixed alphabet may be asked here, because virsh parses the line;
 * everything else goes as an argument array.
 */
import { randomUUID } from 'node:crypto';
import { asking } from '../process/asking.ts';
import { CommandError } from '../process/command.ts';
import { createProcessPool, type Output } from '../process/process-pool.ts';

/**
 * UUIDs, targets, options, separators: nothing that virsh's parser could read as more than a word.
 */
const SAFE = /^[A-Za-z0-9 ;:._[\]@-]+$/;
const SAFE_WORD = /^[A-Za-z0-9:._[\]@-]+$/;
const SECONDS = 60;

/**
 * Asks questions of one libvirt; up to `size` at a time, each in a session that is kept for the
 * next.
 */
export function createVirshSessions(uri: string, size = 4) {
  const sessions = createProcessPool<string, string>(
    {
      // Errors go where an answer would; the shell line is fixed.
      command: () => ['sh', '-c', 'exec virsh -q -c "$0" 2>&1', uri],
      // Else readline wraps the echo of a line that is longer than a terminal is wide.
      env: { COLUMNS: '1000000' },
      write: (line) => `${line}\n${MARKER}\n`,
      read: answerIn,
      failed: (line, why) =>
        CommandError.of(
          `virsh ${line}`,
          why === 'ended'
            ? 'client socket is closed'
            : `virsh did not answer in time (${SECONDS} s)`,
        ),
      answerWithinMs: () => SECONDS * 1000,
      subject: subjectOf,
      // virsh reports a lost libvirtd; another session is opened.
      isLost: ({ stdout }) => stdout.includes('error: '),
    },
    size,
  );

  const give = async (line: string): Promise<string> => {
    const answer = await asking(`virsh ${line}`, () => sessions.ask(line));
    if (answer.startsWith('error:')) throw CommandError.of(`virsh ${line}`, answer);
    return answer;
  };

  return {
    /** The answer to one line of commands. @throws CommandError with virsh's words. */
    async ask(line: string): Promise<string> {
      if (!SAFE.test(line)) throw new Error(`not a line for a virsh session: ${line}`);
      return give(line);
    },
    /** One command; null when a word of it cannot be said in a line. */
    command(words: readonly string[]): Promise<string> | null {
      const quoted = words.map(quote);
      return quoted.includes(null) ? null : give(quoted.join(' '));
    },
    close: () => sessions.close(),
  };
}

/**
 * What is asked of which domain: a QEMU that hangs answers none of the questions that libvirt
 * passes on to it, and all others.
 */
function subjectOf(line: string): string | null {
  const [, command, uuid] = ABOUT.exec(line) ?? [];
  return command === undefined ? null : `${command} ${uuid}`;
}
const ABOUT = /(?:^|; )(\S+) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[^;]*$/;

/**
 * Between single quotes virsh reads everything but their end as it is. Control characters are keys
 * to the line editor that reads for it (a tab completes a name), and so may be what is not ASCII.
 */
export function quote(word: string): string | null {
  if (SAFE_WORD.test(word)) return word;
  return /^[\x20-\x26\x28-\x7e]*$/.test(word) ? `'${word}'` : null;
}

/**
 * virsh echoes each command as it reads it: the echo of the marker comes right after the answer
 * before it.
 */
function answerIn({ stdout }: Output, line: string): string | null {
  const endOfAnswer = stdout.indexOf(`virsh # ${MARKER}\n`);
  if (endOfAnswer < 0) return null;
  const echo = stdout.slice(0, stdout.indexOf('\n'));
  const answer = stdout.slice(echo.length + 1, endOfAnswer);
  // What virsh says of a lost connection comes whenever it hears of it: also before it has read
  // the line, whose failure then looked like an answer, or right after an answer.
  const isLate = echo.includes('error: ') && !echo.endsWith(line);
  if (isLate || LOST.test(answer)) {
    throw CommandError.of(`virsh ${line}`, stdout.slice(0, endOfAnswer));
  }
  return answer;
}

/** At the begin or the end: elsewhere it may be a description's text. */
const LOST = /^error: (Dis|Re)connected|\nerror: Disconnected from [^\n]*\n?$/;
/** Random, so that no description can contain it, whose text would then end an answer. */
const MARKER = `echo @${randomUUID().slice(0, 18)}@`;

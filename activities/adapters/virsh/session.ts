/**
 * A virsh that stays open for questions: a command costs 1 ms in it, and 10 to 25 ms as a process
 * of its own. Only words of a fixed alphabet may be asked here, because virsh parses the line;
 * everything else goes as an argument array.
 */
import { randomUUID } from 'node:crypto';
import { execa } from 'execa';
import { CommandError } from '../process/command.ts';

/**
 * UUIDs, targets, options, separators: nothing that virsh's parser could read as more than a word.
 */
const SAFE = /^[A-Za-z0-9 ;:._[\]@-]+$/;
const SAFE_WORD = /^[A-Za-z0-9:._[\]@-]+$/;
const ANSWER_WITHIN_MS = 60_000;

interface Session {
  write: (text: string) => void;
  kill(): void;
  busy: boolean;
  /** Receives what virsh prints, and null at its end. */
  receive: (text: string | null) => void;
  /** Receives between questions: virsh reports a lost libvirtd, and another session is opened. */
  idle: (text: string | null) => void;
}

/**
 * Asks questions of one libvirt; up to `size` at a time, each in a session that is kept for the
 * next.
 */
export function createVirshSessions(uri: string, size = 4) {
  const sessions = new Set<Session>();
  const waiting: (() => void)[] = [];

  const take = async (): Promise<Session> => {
    for (;;) {
      const idle = [...sessions].find((session) => !session.busy);
      const session = idle ?? (sessions.size < size ? open(uri, sessions) : null);
      if (session) {
        session.busy = true;
        return session;
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };

  const give = async (line: string): Promise<string> => {
    const session = await take();
    try {
      return await converse(session, line);
    } finally {
      session.busy = false;
      waiting.shift()?.();
    }
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
    close(): void {
      for (const session of sessions) session.kill();
    },
  };
}

/**
 * Between single quotes virsh reads everything but their end as it is. Control characters are keys
 * to the line editor that reads for it (a tab completes a name), and so may be what is not ASCII.
 */
export function quote(word: string): string | null {
  if (SAFE_WORD.test(word)) return word;
  return /^[\x20-\x26\x28-\x7e]*$/.test(word) ? `'${word}'` : null;
}

/**
 * stderr goes into stdout, so that an error comes where its answer would; the shell line is fixed.
 */
function open(uri: string, sessions: Set<Session>): Session {
  const child = execa('sh', ['-c', 'exec virsh -q -c "$0" 2>&1', uri], {
    // Else readline wraps the echo of a line that is longer than a terminal is wide.
    env: { LC_ALL: 'C', COLUMNS: '1000000' },
    stdin: 'pipe',
    stdout: 'pipe',
    buffer: false,
    reject: false,
  });
  const idle = (text: string | null) => {
    if (text?.includes('error: ')) session.kill();
  };
  const session: Session = {
    write: (text) => child.stdin.write(text),
    // At once: the next question must not get the session that has just failed.
    kill() {
      sessions.delete(session);
      child.kill();
    },
    busy: false,
    receive: idle,
    idle,
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => session.receive(text));
  child.stdin.on('error', () => undefined);
  void child.then(() => {
    sessions.delete(session);
    session.receive(null);
  });
  sessions.add(session);
  return session;
}

/**
 * virsh echoes each command as it reads it: the echo of the marker comes right after the answer
 * before it.
 */
function converse(session: Session, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const end = (settle: () => void) => {
      clearTimeout(timer);
      session.receive = session.idle;
      settle();
    };
    const fail = (words: string) =>
      end(() => {
        session.kill();
        reject(CommandError.of(`virsh ${line}`, words));
      });
    const timer = setTimeout(() => fail('virsh did not answer in time'), ANSWER_WITHIN_MS);
    session.receive = (more) => {
      if (more === null) return fail('client socket is closed');
      text += more;
      const endOfAnswer = text.indexOf(`virsh # ${MARKER}\n`);
      if (endOfAnswer < 0) return;
      const echo = text.slice(0, text.indexOf('\n'));
      const answer = text.slice(echo.length + 1, endOfAnswer);
      // What virsh says of a lost connection comes whenever it hears of it: also before it has read
      // the line, whose failure then looked like an answer, or right after an answer.
      const isLate = echo.includes('error: ') && !echo.endsWith(line);
      if (isLate || LOST.test(answer)) return fail(text.slice(0, endOfAnswer));
      if (!answer.startsWith('error:')) return end(() => resolve(answer));
      end(() => reject(CommandError.of(`virsh ${line}`, answer)));
    };
    session.write(`${line}\n${MARKER}\n`);
  });
}

/** At the begin or the end: elsewhere it may be a description's text. */
const LOST = /^error: (Dis|Re)connected|\nerror: Disconnected from [^\n]*\n?$/;
/** Random, so that no description can contain it, whose text would then end an answer. */
const MARKER = `echo @${randomUUID().slice(0, 18)}@`;

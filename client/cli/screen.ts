/** Where a command writes. Commands take a Screen, so that tests can read what a person would. */
import { styleText } from 'node:util';

export type Style = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

export interface Screen {
  /** True when a person looks at standard output. */
  readonly isTerminal: boolean;
  /** A line of the answer, on standard output. */
  print(line: string): void;
  /** A line about the answer, on standard error. */
  tell(line: string): void;
  /** Colours on a terminal, without NO_COLOR; plain text elsewhere. */
  paint: (style: Style, text: string) => string;
}

export function processScreen(): Screen {
  // `blockflow list | head` closes the pipe early, which is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
  return {
    isTerminal: process.stdout.isTTY === true,
    print: (line) => void process.stdout.write(`${line}\n`),
    tell: (line) => void process.stderr.write(`${line}\n`),
    paint: (style, text) => styleText(style, text, { stream: process.stdout }),
  };
}

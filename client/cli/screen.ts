/** Where a command writes. Commands take a Screen, so that tests can read what a person would. */
import { randomUUID } from 'node:crypto';
import { styleText } from 'node:util';
import { visible } from '../../workflows/operation/words.ts';

const ESCAPE = '\x1b';
/** Stands for it in what is painted, until it is written: no foreign text can know it. */
const OWN_ESCAPE = `<${randomUUID()}>`;

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
  const write = (stream: NodeJS.WriteStream, line: string) =>
    void stream.write(`${visible(line).replaceAll(OWN_ESCAPE, ESCAPE)}\n`);
  return {
    isTerminal: process.stdout.isTTY === true,
    print: (line) => write(process.stdout, line),
    tell: (line) => write(process.stderr, line),
    paint: (style, text) =>
      styleText(style, visible(text), { stream: process.stdout }).replaceAll(ESCAPE, OWN_ESCAPE),
  };
}

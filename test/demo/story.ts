/**
 * What the demo says: one line a step with the seconds since its start, and the facts at the end.
 */
import { styleText } from 'node:util';
import type { Screen } from '../../client/cli/screen.ts';

export interface Story {
  readonly screen: Screen;
  /** A step, with the elapsed seconds in front. */
  step(text: string): void;
  /** More about the step above it. */
  more(text: string): void;
  /** A heading of the report. */
  heading(text: string): void;
  /** A fact of the report: what, and the figure. */
  fact(what: string, figure: string): void;
  /** Why the demo ends without its promises, on standard error. */
  fail(why: string): void;
}

/** @param unread called when standard output is closed (`npm run demo | head`). */
export function openStory(unread: () => void): Story {
  process.stdout.on('error', unread);
  const screen: Screen = {
    isTerminal: process.stdout.isTTY === true,
    print: (line) => void process.stdout.write(`${line}\n`),
    tell: (line) => void process.stderr.write(`${line}\n`),
    paint: (style, text) => styleText(style, text, { stream: process.stdout }),
  };
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  return {
    screen,
    step(text) {
      const at = `${seconds().toFixed(1).padStart(5)} s`;
      screen.print(`${screen.paint('dim', at)}  ${text}`);
    },
    more: (text) => screen.print(`         ${screen.paint('dim', text)}`),
    heading: (text) => screen.print(`\n${screen.paint('bold', text)}`),
    fail: (why) => screen.tell(`\nThe demo failed after ${seconds().toFixed(1)} s: ${why}`),
    fact: (what, figure) => screen.print(`  ${what.padEnd(24)} ${figure}`),
  };
}

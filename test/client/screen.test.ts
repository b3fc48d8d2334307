/** What others have named reaches no terminal, log or page as anything but text. */
import { afterEach, expect, it, jest } from '@jest/globals';
import { processScreen } from '../../client/cli/screen.ts';
import { visible } from '../../workflows/operation/words.ts';

const written: string[] = [];
for (const stream of [process.stdout, process.stderr]) {
  jest.spyOn(stream, 'write').mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
}
afterEach(() => void written.splice(0));

const HOSTILE = {
  'a title': '\x1b]0;x\x07',
  'a move of the cursor': 'a\x1b[1A\x1b[2Kb',
  'a C1 escape': '\x9b31m',
  'a carriage return': 'safe\rdone',
  'a turned line': 'a\u202egnp.b',
  'an isolate': '\u2066a',
  'a zero width': 'we\u200bb1',
  'a tag': '\u{e0041}',
  'another end of a line': 'a\u2028b',
  'a delete': '\x7f',
};
const UNSEEN = /[^\P{C}\n]|\p{Zl}|\p{Zp}/u;

it.each(Object.entries(HOSTILE))('%s is shown as its code', (_, text) => {
  const screen = processScreen();
  screen.print(text);
  screen.tell(text);
  screen.print(screen.paint('red', text));
  expect(written).toHaveLength(3);
  for (const line of written) {
    expect(line).not.toMatch(UNSEEN);
    expect(line).toMatch(/\\u[0-9a-f]{4}/);
  }
});

it('a document keeps its content', () => {
  const content = Object.values(HOSTILE);
  expect(JSON.parse(visible(JSON.stringify(content, null, 2)))).toEqual(content);
});

it('names of any language, new lines and tabs stay as they are', () => {
  const text = '日本 é 🙂\n\tweb1';
  processScreen().print(text);
  expect(written).toEqual([`${text}\n`]);
});

it('our own colours reach a terminal, those of others do not', () => {
  process.env['FORCE_COLOR'] = '1';
  const screen = processScreen();
  screen.print(`${screen.paint('red', 'Failed')} \x1b[32mDone\x1b[39m`);
  delete process.env['FORCE_COLOR'];
  expect(written[0]).toContain('\\u001b[32mDone');
  expect(written[0]?.replaceAll('\x1b[31m', '').replaceAll('\x1b[39m', '')).not.toContain('\x1b');
});

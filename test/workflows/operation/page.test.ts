/** The pages of the Web UI are markdown, and names are not. */
import { expect, it } from '@jest/globals';
import { mergeKind } from '../../../workflows/merge/kind.ts';
import { liveMergeInput } from '../../../workflows/merge/request.ts';
import { requestPage } from '../../../workflows/operation/page.ts';

const request = (requestedBy: string, vm = 'web1') =>
  liveMergeInput.parse({ vm, disk: 'vda', host: 'h1', requestedBy });
const pageOf = (requestedBy: string, vm?: string) =>
  requestPage(mergeKind, request(requestedBy, vm));

it.each([
  ['a link', '[Cancel](https://evil.example)', '\\[Cancel\\](https'],
  ['an image', '![x](https://evil.example/x.png)', '\\!\\[x\\](https'],
  ['markup', '<img src=x>', '\\<img src=x\\>'],
  ['an entity', '&lt;', '\\&lt;'],
  ['a cell', 'a|b', 'a\\|b'],
  ['a choice in code', '`decide pivot|keep`', '`decide pivot`\\|`keep`'],
  ['a choice in code with a backtick', '``a`|<b>``', '``a`\\|<b>``'],
  ['the end of code', '`[x](y)', '`\\[x\\](y)'],
])('%s in a name is shown as it is written', (_, name, shown) => {
  expect(pageOf(name)).toContain(`| ${shown}`);
});

it('a turned line is not turned', () => {
  expect(pageOf('a\u202eb')).toContain('a?b');
});

it('code stays as a user has to type it', () => {
  expect(pageOf('me', 'w[1]')).toContain("`merge 'w[1]' vda`");
});

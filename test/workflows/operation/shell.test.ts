/** What a message says to type is taken by a shell as it is meant. */
import { expect, it } from '@jest/globals';
import { execa } from 'execa';
import { shell } from '../../../workflows/operation/names.ts';

it.each(['web1', 'web 1', "it's", '$HOME', '`id`', 'a"b', '*', '~', 'a;b', '\\', 'ü', '#1', ''])(
  'a value %j is one word of the command',
  async (value) => {
    const command = shell`printf '%s\\n' ${value} --size=${3} ${value}/vda`;
    expect(command).toMatch(/^`.*`$/s);
    const { stdout } = await execa('bash', ['-c', command.slice(1, -1)]);
    expect(stdout.split('\n')).toEqual([value, '--size=3', `${value}/vda`]);
  },
);

it('leaves ordinary names as they are', () => {
  expect(shell`virsh start ${'web-1.example'}`).toBe('`virsh start web-1.example`');
});

/** Agents of the system's libvirt do not start without the rights that their proofs need. */
import { describe, expect, it } from '@jest/globals';
import { assertRights, LacksRights } from '../../worker/roles/rights.ts';

const SYSTEM = 'qemu:///system';
const withCapabilities = (bits: readonly number[]) => {
  const held = bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
  return `Name:\tnode\nCapEff:\t${held.toString(16).padStart(16, '0')}\n`;
};
const ALL = [0, 1, 3, 19];

describe('An agent', () => {
  it('of root has all of them', () => {
    expect(() => assertRights(SYSTEM)).not.toThrow();
  });

  it.each([
    [0, 'CAP_CHOWN'],
    [1, 'CAP_DAC_OVERRIDE'],
    [3, 'CAP_FOWNER'],
    [19, 'CAP_SYS_PTRACE'],
  ])('without capability %i is refused, and told that it is %s', (bit, name) => {
    const status = withCapabilities(ALL.filter((one) => one !== bit));
    expect(() => assertRights(SYSTEM, status)).toThrow(LacksRights);
    expect(() => assertRights(SYSTEM, status)).toThrow(new RegExp(`lacks ${name}, by which it`));
  });

  it.each(['qemu:///session', 'qemu+unix:///session?socket=/x', 'test:///default'])(
    'of %s needs none',
    (uri) => {
      expect(() => assertRights(uri, withCapabilities([]))).not.toThrow();
    },
  );

  it('of a system with a socket of its own needs them', () => {
    const uri = 'qemu+unix:///system?socket=/run/x/libvirt-sock';
    expect(() => assertRights(uri, withCapabilities([]))).toThrow('CAP_CHOWN');
  });
});

/** A whole system for the tests of a file, the virsh of whose agents can be stopped. */
import { afterEach } from '@jest/globals';
import { makeHeldVirsh, type HeldVirsh } from '../faults/held-virsh.ts';
import type { System } from '../host/system.ts';
import { useSystem } from './use-system.ts';

type Held = Pick<HeldVirsh, 'holdBefore' | 'untilHeld' | 'release'>;

/** What a test has left held goes on after it, before what it has killed runs again. */
export function useHeldSystem(
  start: (how: { pathFolder: (root: string) => string }) => Promise<System>,
): { system: System; held: Held } {
  let made: HeldVirsh | undefined;
  const pathFolder = (root: string) => (made = makeHeldVirsh(root)).folder;
  const its = () => {
    if (!made) throw new Error('the system is not open');
    return made;
  };
  afterEach(() => made?.release());
  const held: Held = {
    holdBefore: (text) => its().holdBefore(text),
    untilHeld: () => its().untilHeld(),
    release: () => its().release(),
  };
  return { system: useSystem(() => start({ pathFolder })), held };
}

/** A whole system for the tests of a file. */
import { startSharedSystem } from './merge-scene.ts';
import type { System } from '../host/system.ts';
import { use } from '../use.ts';

/** What a test has killed runs again in the next one. */
export const useSystem = (start: () => Promise<System> = startSharedSystem): System =>
  use('the system', start, (system) => system.revive());

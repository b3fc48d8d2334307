/** A guest with two disks for each case, which move together, or are copied. */
import { startMoveSystem } from '../../scenes/transfer/move-scene.ts';
import { useSystem } from '../../scenes/use-system.ts';
import { disksScenarios } from './disks-scenarios.ts';
import type { Stage } from './stage.ts';

export function useDisksStage(folder: string, writes = 0): Stage {
  const system = useSystem(() => startMoveSystem({ name: folder.replace(' ', '-') }));
  let count = 0;
  return {
    system,
    start(effect, arm) {
      const scenario = disksScenarios[effect as keyof typeof disksScenarios];
      return scenario({ system, vm: `pair${++count}`, writes, arm });
    },
  };
}

/** Fifty merges on a cluster, whose parts are killed and started again in the middle of them. */
import { describe, it } from '@jest/globals';
import { useCluster } from '../support/cluster/use-cluster.ts';
import { FIFTY, prepareManyMerges } from '../support/scenes/many-merges.ts';
import { waitUntil } from '../support/wait-until.ts';

/** Two servers and a database share the machine with fifty merges. */
const PATIENCE_MS = 600_000;

const system = useCluster();

describe('Fifty merges on a cluster', () => {
  it('all end well, each exactly once, though a server and PostgreSQL are killed', async () => {
    const merges = await prepareManyMerges(system, FIFTY);
    await merges.start();
    const untilEnded = (least: number) =>
      waitUntil(`${least} to end`, async () => (await merges.ended()) >= least, {
        timeoutMs: PATIENCE_MS,
      });
    const { servers, postgres } = system.cluster;
    await untilEnded(5);
    await servers[0].kill();
    await untilEnded(15);
    await servers[0].start();
    await untilEnded(20);
    await postgres.kill();
    await postgres.start();
    await merges.decide();
    await merges.expectMergedOnce();
  }, 1_800_000);
});

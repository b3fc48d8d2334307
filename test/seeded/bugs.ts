/**
 * Deliberate bugs of the kind that loses data, each as one replacement in the source, and the test
 * that has to notice. `npm run test:seeded` plants them one by one in a copy of the tree; a unit
 * test keeps the list true to the source.
 */
import { fieldBugs } from './field-bugs.ts';
import { hangBugs } from './hang-bugs.ts';
import { trustBugs } from './trust-bugs.ts';
import { liveMoveBugs } from './live-move-bugs.ts';
import { snapshotBugs } from './snapshot-bugs.ts';
import { snapshotModelBugs } from './snapshot-model-bugs.ts';

export interface SeededBug {
  /** What a developer might have done. */
  name: string;
  file: string;
  from: string;
  to: string;
  /** The cheapest test file that notices, and its layer with it (unit, activities, ...). */
  caughtBy: string;
  /** Only the tests whose titles match. */
  only?: string;
}

export const seededBugs: readonly SeededBug[] = [
  {
    name: 'volumes are deleted before the chain is proven',
    file: 'workflows/merge/ending.ts',
    from: "await op.host.observeMergeProof(job, 'prove the chain in all views, unused');",
    to: '{ chainAfter: [plan.base.path] };',
    caughtBy: 'test/workflows/merge/outcomes.test.ts',
  },
  {
    name: '"no job" is taken for success',
    file: 'activities/host/merge/await-commit-ready.ts',
    from: "return { outcome: 'gone', reason: vanished ?? ",
    to: "return { outcome: 'finished' };\n  return { outcome: 'gone', reason: vanished ?? ",
    caughtBy: 'test/activities/merge/await-commit-ready.test.ts',
  },
  {
    name: '100 % is taken for READY',
    file: 'activities/host/pivot/job-ready.ts',
    from: 'job.copiedBytes === job.totalBytes) looks.ask(null);',
    to: "job.copiedBytes === job.totalBytes) return { outcome: 'ready', readyAtMs: 1 };",
    caughtBy: 'test/activities/merge/await-commit-ready.test.ts',
  },
  {
    name: 'a cancel undoes what is past the point of no return',
    file: 'workflows/merge/committing.ts',
    from: 'const done = await forwardOnly(() => op.host.ensurePivoted(input, summary));',
    to: 'const done = await op.host.ensurePivoted(input, summary);',
    caughtBy: 'test/model/merge-model-found.test.ts',
  },
  {
    name: 'the lease is not checked before an effect',
    file: 'activities/pool-folder/lease.ts',
    from: "assertNot(found, `${name} of ${target}`, 'it was not begun');",
    to: 'void found;',
    caughtBy: 'test/activities/pool-folder/flock-lease.test.ts',
  },
  {
    name: 'the version of a lease does not grow',
    file: 'activities/pool-folder/flock-lease.ts',
    from: 'version: version + 1',
    to: 'version: Math.max(version, 1)',
    caughtBy: 'test/activities/pool-folder/flock-lease.test.ts',
  },
  {
    name: 'the guest is left paused when the pivot is refused',
    file: 'activities/adapters/virsh/safe-pivot.bash',
    from: 'if [[ $guest != running ]]; then resumed=yes',
    to: 'if [[ $guest != running ]] || any_pivot failed; then resumed=yes',
    caughtBy: 'test/activities/adapters/safe-pivot.test.ts',
  },
  {
    name: 'the pivot happens although the guest could not be suspended',
    file: 'activities/adapters/virsh/safe-pivot.bash',
    from: '    if is_refused; then\n      for disk',
    to: '    if false; then\n      for disk',
    caughtBy: 'test/activities/adapters/safe-pivot.test.ts',
  },
  {
    name: 'the guest runs on before the persistent XML names the base',
    file: 'activities/adapters/virsh/safe-pivot.bash',
    from: 'ask "domblklist $uuid --inactive" && names_new',
    to: 'true',
    caughtBy: 'test/activities/adapters/safe-pivot.test.ts',
  },
  {
    name: 'a volume is deleted by its name, whatever file has that name',
    file: 'activities/storage/volumes/quarantine.ts',
    from: 'facts[at]?.identity === volume.identity',
    to: 'facts[at] && volume',
    caughtBy: 'test/activities/volumes/ensure-volumes-absent.test.ts',
  },
  {
    name: 'a volume that a process has opened is deleted all the same',
    file: 'activities/storage/volumes/quarantine.ts',
    from: 'if (!(await isUnlocked(path))) {',
    to: "if (path === '') {",
    caughtBy: 'test/activities/volumes/ensure-volumes-absent.test.ts',
  },
  {
    name: 'a file on a file system that is not mounted is taken for deleted',
    file: 'activities/storage/volumes/ensure-volumes-absent.ts',
    from: 'await assertMounted(volume);',
    to: '',
    caughtBy: 'test/activities/volumes/ensure-volumes-absent.test.ts',
  },
  {
    name: 'an event of the audit log is named by its time as well',
    file: 'activities/orchestrator/audit-log.ts',
    from: 'const eventFile = (event: AuditEvent) => `${event.id}.json`;',
    to: 'const eventFile = (event: AuditEvent) => `${event.time}-${event.id}.json`;',
    caughtBy: 'test/activities/orchestrator/audit-log.test.ts',
  },
  {
    name: 'the workflow id is random, so that two merges of a disk run at once',
    file: 'client/library/start-operation.ts',
    from: 'workflowId: id,',
    to: 'workflowId: `${id} ${Math.random()}`,',
    caughtBy: 'test/real/operation/many-at-once.test.ts',
  },
  {
    name: 'the format of an image is probed',
    file: 'activities/adapters/qemu-img/qemu-img.ts',
    from: "['info', '-U', '-f', format, '--output=json', path]",
    to: "['info', '-U', '--output=json', path]",
    caughtBy: 'test/input/session.test.ts',
  },
  {
    name: 'the guest that a dead agent suspended stays suspended',
    file: 'activities/host/pivot/give-back-guest.ts',
    from: "if (!looks.some(({ state }) => state === 'paused')) return 'not ours';",
    to: "return 'not ours';",
    caughtBy: 'test/real/merge/pause.test.ts',
    only: 'script and host agent are killed',
  },
  {
    name: 'a guest that was resumed once is taken for paused',
    file: 'activities/adapters/virsh/safe-pivot.bash',
    from: '[[ $reply =~ (^|[[:space:]])(paused|pmsuspended|crashed) ]]',
    to: '[[ $reply == *paused* ]]',
    caughtBy: 'test/activities/adapters/safe-pivot.test.ts',
  },
  {
    name: 'a foreign job is taken for ours',
    file: 'activities/host/pivot/our-commit.ts',
    from: 'return isCommit && (await canonical(mirror.path)) === base;',
    to: 'return (await canonical(mirror.path)) !== null;',
    caughtBy: 'test/real/support/hypervisor-contract.test.ts',
    only: 'a foreign job',
  },
  {
    name: 'no other host is asked before a deletion',
    file: 'workflows/chain/other-hosts.ts',
    from: 'for (const host of hosts)',
    to: 'for (const host of [] as string[])',
    caughtBy: 'test/real/pools/two-hosts.test.ts',
    only: 'only defined there',
  },
  {
    name: 'a wipe does not look where its volume lies',
    file: 'activities/storage/volumes/quarantine.ts',
    from: 'volumes.map((named) => volumeInPool(pools, named, `${doing} ${named.path}`))',
    to: 'volumes.map((named) => Promise.resolve(named))',
    caughtBy: 'test/input/boundary.test.ts',
  },
  {
    name: 'the guest runs on before the new name of its XML is flushed',
    file: 'activities/adapters/virsh/safe-pivot.bash',
    from: '    flush_record\n    verified=yes',
    to: '    verified=yes',
    caughtBy: 'test/activities/adapters/safe-pivot.test.ts',
  },
  {
    name: 'a volume is deleted before the record that it has left is flushed',
    file: 'activities/host/merge/observe-merge-proof.ts',
    from: 'if (chain.persistentDomain) await',
    to: 'if (!chain) await',
    caughtBy: 'test/real/operation/power-cut.test.ts',
    only: 'shut off',
  },
  {
    name: 'a header counts as changed when qemu-img says so',
    file: 'activities/host/chain/backing-name.ts',
    from: 'if (found === backing.name) return;',
    to: 'if (found) return;',
    caughtBy: 'test/real/operation/header-io-errors.test.ts',
    only: 'in a cold merge',
  },
  {
    name: 'other children are looked for in the pools of libvirt only',
    file: 'activities/host/uses/volume-users.ts',
    from: ', ...own])',
    to: '])',
    caughtBy: 'test/real/pools/pool-away.test.ts',
    only: 'hides no child',
  },
  {
    name: 'the pool of that name on another host is taken for this one',
    file: 'activities/pool-folder/id.ts',
    from: 'return facts && id === pool',
    to: 'return facts',
    caughtBy: 'test/activities/pool-folder/id.test.ts',
  },
  {
    name: 'what is said of a lost connection is taken for an answer',
    file: 'activities/adapters/virsh/session.ts',
    from: 'if (isLate || LOST.test(answer))',
    to: 'if (LOST.test(answer))',
    caughtBy: 'test/real/adapters/virsh-session.test.ts',
  },
  {
    name: 'a cold commit counts, whatever it was of',
    file: 'activities/host/merge/ensure-cold-committed.ts',
    from: 'return are.join() === end.fingerprints.join() ? ',
    to: 'return are.length > 0 ? ',
    caughtBy: 'test/real/merge/cold.test.ts',
    only: 'commit of other volumes',
  },
  {
    name: 'a cold commit counts, whatever was written to its base since',
    file: 'activities/host/merge/ensure-cold-committed.ts',
    from: 'are.join() === end.fingerprints.join()',
    to: 'are.slice(1).join() === end.fingerprints.slice(1).join()',
    caughtBy: 'test/real/merge/cold.test.ts',
    only: 'another process wrote to meanwhile',
  },
  {
    name: 'only an active pool has a folder',
    file: 'activities/host/uses/references.ts',
    from: '{ ...question, pools: all }',
    to: 'question',
    caughtBy: 'test/real/removal/copy-remove-image.test.ts',
    only: 'a pool that is not active',
  },
  {
    name: "snapshots' metadata is no use of a volume",
    file: 'activities/host/uses/references.ts',
    from: '[...uses, ...snapshots]',
    to: '[...uses]',
    caughtBy: 'test/real/removal/copy-remove-image.test.ts',
    only: 'a domain, a snapshot',
  },
  ...fieldBugs,
  ...trustBugs,
  ...hangBugs,
  ...liveMoveBugs,
  ...snapshotBugs,
  ...snapshotModelBugs,
];

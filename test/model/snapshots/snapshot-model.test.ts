/**
 * Snapshots of a VM with two disks, with whatever may happen to them in any order, against the
 * simulator that test/support/contract/hypervisor-contract-snapshots.ts holds to real libvirt. As
 * merge-model.test.ts otherwise; a shrunk failure becomes a test of snapshot-model-found.test.ts.
 */
import { testModel } from '../engine.ts';
import { snapshotModel } from './snapshot-model.ts';

const file = 'test/model/snapshots/snapshot-model.test.ts';
testModel(
  file,
  'no order of crashes and messages breaks a snapshot, or leaves a trace',
  snapshotModel,
);

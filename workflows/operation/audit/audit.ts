/** The audit log as workflows write and read it: what happened to whom, when, and why. */
import { z } from 'zod';
import { defineActivities } from '../activities.ts';
import { hostName, plainName, vmName } from '../names.ts';
import { auditFilter } from './audit-filter.ts';

export const auditEvent = z.strictObject({
  /** Never used again: `<workflow run>/<name>`; a second append of it changes nothing. */
  id: z.string().regex(/^[A-Za-z0-9._-]{1,200}$/),
  /** ISO 8601, from the workflow's clock. */
  time: z.iso.datetime(),
  operation: z.string(),
  workflowId: z.string(),
  vm: vmName,
  /** A volume's name, in the pool that stands for the VM, for a standalone image. */
  disk: plainName,
  host: hostName,
  /**
   * `started`, `cancelled`, `cancel-refused`, `failed`, `refused`, or the outcome of a result,
   * which each kind of operation names for itself.
   */
  kind: z.string().regex(/^[a-z]+(?:-[a-z]+)*$/),
  /** The request in words: equal words are the same request. */
  request: z.string(),
  who: z.string(),
  reason: z.string(),
  before: z.array(z.string()),
  after: z.array(z.string()),
});
export type AuditEvent = z.infer<typeof auditEvent>;

/** Local activities of the orchestrator. */
export const orchestratorActivities = defineActivities({
  /** Appends an event unless it is there. */
  ensureEventRecorded: { input: auditEvent, result: z.void(), beats: 'never' },
  /** Of the events that match, the newest `limit` that fit into 1 MiB, oldest first. */
  observeEvents: {
    input: auditFilter,
    result: z.array(auditEvent),
    beats: 'never',
  },
});

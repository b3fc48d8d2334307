/**
 * A kind of operation as a value: what is the client's, the list's, the Web UI's and the life of an
 * operation's business to know of it. `workflows/kinds.ts` lists them.
 */
import type * as z from 'zod/mini';
import type { AuditEvent } from './audit/audit.ts';
import type { CommonStatus, StatusOf } from './contract.ts';
import type { Part } from './failures.ts';

/** What the result of every operation says. */
export interface CommonResult {
  outcome: AuditEvent['kind'];
  /** One sentence for a person. */
  summary: string;
  /** Sentences about what is not as one would expect. */
  warnings: string[];
  /** The chain, or the copies, after it; none for what leaves nothing. */
  chainAfter?: string[];
}

/** What every request says. */
export interface CommonRequest {
  host: string;
  requestedBy: string;
}

/** A row of a page: without a value it is left out. */
export type Row = readonly [name: string, value: string | null];

export interface Kind<
  Name extends string,
  Request extends CommonRequest,
  Result extends CommonResult,
  Status extends StatusOf<Name, string>,
> {
  /** Type of the workflow. */
  type: Name;
  /** The command that starts it. */
  command: string;
  /** What it works on, as in "of an image". */
  of: string;
  /** Parses what a client sent into a request with its defaults. */
  request: z.ZodMiniType<Request>;
  /** Of the workflow's result; made when it is asked for, as workflows need none. */
  result: () => z.ZodMiniType<Result>;
  /** The id of the workflow, which is the lock of what it works on. */
  id(request: Request): string;
  /** The request as one would type it; equal words are the same request. */
  words(request: Request): string;
  /** What else makes two requests different. */
  distinction(request: Request): object;
  /** The VM and its disk; of a standalone image its pool and volume. */
  subject(request: Request): { vm: string; disk: string };
  /** Rows of the request's page, for what its words do not say. */
  requestRows(request: Request): readonly Row[];
  /** The job that it goes on with; null for a new one. */
  jobId(request: Request): string | null;
  /** What a cancel means before the point of no return, and after it. */
  cancel(request: Request): { before: string; after: string };
  /** What is true when it fails or is cancelled before anything was begun. */
  untouched(request: Request): string;
  /** What its status says at first, besides what every status says. */
  facts: Omit<Status, keyof StatusOf<Name, string>>;
  /** Rows of its page, for the facts of its own. */
  statusRows(status: Status): readonly Row[];
  /** Phases in which `blockflow list` and the Web UI show it: each costs an event of history. */
  listed: readonly Status['phase'][];
  /** Phases in which heartbeats say how far it is. */
  measured: readonly Status['phase'][];
  /** Phases after its copy is complete. */
  pastCopy: readonly Status['phase'][];
  /** The part that a failure in a phase is a failure of; without one it stands for itself. */
  parts: { readonly [P in Status['phase']]?: Part };
}

/** Any of them, where its own types do not matter. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a kind is invariant in its types
export type AnyKind = Kind<any, any, any, any>;

export type KindStatus<K> = K extends { statusRows(status: infer S): readonly Row[] }
  ? S
  : CommonStatus;
export type KindResult<K> = K extends { result: () => z.ZodMiniType<infer R> } ? R : never;
export type KindRequest<K> = K extends { request: z.ZodMiniType<infer R> } ? R : never;

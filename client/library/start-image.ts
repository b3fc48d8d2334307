/**
 * Starts moves, copies and removals of images, or attaches to the same request that runs already.
 */
import { z } from 'zod';
import {
  copyImageInput,
  moveImageInput,
  removeImageInput,
  imagePlanOutcome,
  removalPlan,
  removeImageResult,
  transferResult,
  type CopyImageRequest,
  type ImagePlanOutcome,
  type MoveImageRequest,
  type RemovalPlan,
  type RemoveImageRequest,
  type RemoveImageResult,
  type TransferResult,
} from '../../workflows/transfer/schemas.ts';
import { requestPage } from '../../workflows/transfer/page.ts';
import { copyWords, moveWords, removeWords } from '../../workflows/transfer/words.ts';
import { imageId, type ImageOperationName } from '../../workflows/transfer/activities.ts';
import { ask } from './questions.ts';
import { usage } from './failure.ts';
import { openOperation, type Operation, type OperationResult } from './operation.ts';
import { requester } from './requester.ts';
import type { Session } from './session.ts';
import { startOperation } from './start-operation.ts';

type WithHost<T> = Omit<T, 'host'> & { host?: string };
/** As a client asks; without a host it is the session's. */
export type MoveRequest = WithHost<MoveImageRequest>;
export type CopyRequest = WithHost<CopyImageRequest>;
export type RemoveRequest = WithHost<Omit<RemoveImageRequest, 'left'>>;

export interface ImageMethods {
  /** Moves an image with all its volumes to another pool. */
  move(request: MoveRequest): Promise<Operation<TransferResult>>;
  /** Copies an image; no record is touched. */
  copy(request: CopyRequest): Promise<Operation<TransferResult>>;
  /** Deletes an image to which nothing refers. */
  remove(request: RemoveRequest): Promise<Operation<RemoveImageResult>>;
  /** What a move or copy would do; nothing is touched. */
  planMove(request: MoveRequest): Promise<ImagePlanOutcome>;
  planCopy(request: CopyRequest): Promise<ImagePlanOutcome>;
  planRemoval(request: RemoveRequest): Promise<RemovalPlan>;
}

export function imageMethods(session: Session): ImageMethods {
  const complete = <S extends z.ZodType>(schema: S, request: object, command: string) =>
    parse(schema, { host: session.host, requestedBy: requester(), ...request }, command);
  const plan = async (operation: string, input: { host: string }, id: string) => {
    const asked = { question: `planning for ${id}`, id: `plan ${id}`, host: input.host };
    return imagePlanOutcome.parse(await ask(session, asked, 'PlanImage', { operation, ...input }));
  };
  return {
    move(request) {
      const input = complete(moveImageInput, request, 'move');
      const start = { id: imageId(input.image), words: moveWords(input), input };
      return begin(session, { type: 'MoveImage', ...start }, transferResult);
    },
    copy(request) {
      const input = complete(copyImageInput, request, 'copy');
      const start = { id: imageId(input.image), words: copyWords(input), input };
      return begin(session, { type: 'CopyImage', ...start }, transferResult);
    },
    remove(request) {
      const input = complete(removeImageInput, request, 'rm');
      const id = `${input.pool}/${input.volume}`;
      const start = { id, words: removeWords(input), input };
      return begin(session, { type: 'RemoveImage', ...start }, removeImageResult);
    },
    planMove(request) {
      const input = complete(moveImageInput, request, 'move');
      return plan('MoveImage', input, imageId(input.image));
    },
    planCopy(request) {
      const input = complete(copyImageInput, request, 'copy');
      return plan('CopyImage', input, imageId(input.image));
    },
    async planRemoval(request) {
      const input = complete(removeImageInput, request, 'rm');
      const id = `${input.pool}/${input.volume}`;
      const asked = { question: `planning for ${id}`, id: `plan ${id}`, host: input.host };
      return removalPlan.parse(await ask(session, asked, 'PlanRemoval', input));
    },
  };
}

/** @throws BlockflowError Usage for a request that cannot be understood. */
function parse<S extends z.ZodType>(schema: S, request: object, command: string): z.output<S> {
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  const now = z
    .prettifyError(parsed.error)
    .replaceAll('✖ ', '')
    .replaceAll(/\n\s*→ /g, ' ');
  throw usage(`blockflow ${command}`, now, `See \`blockflow ${command} --help\``);
}

interface Beginning {
  type: ImageOperationName;
  id: string;
  words: string;
  input: { host: string; requestedBy: string };
}

async function begin<R extends OperationResult>(
  session: Session,
  { type, id, words, input }: Beginning,
  schema: { parse(value: unknown): R },
): Promise<Operation<R>> {
  const { host } = input;
  const slash = id.indexOf('/');
  const [vm, disk] = [id.slice(0, slash), id.slice(slash + 1)];
  const { handle, ...facts } = await startOperation(session, {
    type,
    id,
    input,
    words,
    vm,
    disk,
    host,
    key: JSON.stringify({ request: words, host }),
    details: requestPage({ id, operation: type, words, ...input }),
  });
  return openOperation(session, handle, facts, schema);
}

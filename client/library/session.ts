/**
 * The connection of a client, and the way all its calls go: with a deadline, and with errors that
 * say what to do.
 */
import {
  Client,
  Connection,
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { stateDir as usualStateDir, defaultHost } from '../../worker/environment/config.ts';
import { temporalConfig } from '../../worker/environment/temporal-config.ts';
import {
  BadPayloadKey,
  KEY_FILE,
  payloadEncryption,
} from '../../worker/environment/payload-codec.ts';
import { readUpFile } from '../../worker/environment/up-file.ts';
import { BlockflowError, usage } from './failure.ts';
import { tlsTrouble } from './tls-trouble.ts';

export interface ConnectOptions {
  /**
   * Address of the Temporal server, `host:port`; else TEMPORAL_ADDRESS, a profile, or the running
   * `blockflow up`.
   */
  address?: string;
  namespace?: string;
  /**
   * Host of the VMs when a request names none; else BLOCKFLOW_HOST, that of `blockflow up`, or this
   * machine's name.
   */
  host?: string;
  /** Folder in which `blockflow up` keeps its state. */
  stateDir?: string;
}

export interface Session {
  client: Client;
  connection: Connection;
  namespace: string;
  address: string;
  host: string;
}

const CONNECT_MS = 5000;

/** @throws BlockflowError `temporal-away` when no server answers within 5 s. */
export async function openSession(options: ConnectOptions = {}): Promise<Session> {
  const stateDir = options.stateDir ?? usualStateDir();
  const config = temporalConfig(stateDir, options.address);
  const { address } = config.connectionOptions;
  const namespace = options.namespace ?? config.namespace;
  const host = options.host ?? process.env['BLOCKFLOW_HOST'] ?? readUpFile(stateDir)?.host;
  const encryption = encryptionOrUsage();
  try {
    const connection = await Connection.connect({
      ...config.connectionOptions,
      connectTimeout: CONNECT_MS,
    });
    const client = new Client({ connection, namespace, ...encryption });
    return { client, connection, namespace, address, host: host ?? defaultHost() };
  } catch (error) {
    const attempted = `connecting to Temporal at ${address}`;
    const { connectionOptions, source } = config;
    const trouble = await tlsTrouble(address, connectionOptions.tls, source === 'default');
    if (!trouble) throw temporalAway(attempted, error);
    throw new BlockflowError('Away', { code: 'temporal-away', attempted, ...trouble }, error);
  }
}

function encryptionOrUsage() {
  try {
    return payloadEncryption();
  } catch (error) {
    if (!(error instanceof BadPayloadKey)) throw error;
    const next = `Correct ${KEY_FILE}, with the key that the agents have`;
    throw usage('reading the key of payloads', error.message, next);
  }
}

/**
 * Makes a call with a deadline in milliseconds; a server that does not answer becomes a
 * BlockflowError.
 */
export async function call<T>(
  session: Session,
  attempted: string,
  timeoutMs: number,
  fn: () => Promise<T>,
): Promise<T> {
  try {
    return await session.connection.withDeadline(Date.now() + timeoutMs, fn);
  } catch (error) {
    throw isAway(error) ? temporalAway(attempted, error) : error;
  }
}

export const INVALID_ARGUMENT = 3;
const UNAVAILABLE = 14;
const DEADLINE_EXCEEDED = 4;

/** The gRPC status of an error of the client, undefined for any other error. */
export function grpcStatus(error: unknown): number | undefined {
  const cause = error instanceof ServiceError ? error.cause : error;
  return isGrpcServiceError(cause) ? cause.code : undefined;
}

/** True when the server did not answer, which says nothing about the operation. */
export function isAway(error: unknown): boolean {
  const status = grpcStatus(error);
  return status === UNAVAILABLE || status === DEADLINE_EXCEEDED;
}

export const isNotFound = (error: unknown) => error instanceof WorkflowNotFoundError;

export function temporalAway(attempted: string, cause: unknown): BlockflowError {
  return new BlockflowError(
    'Away',
    {
      code: 'temporal-away',
      attempted,
      now: 'the Temporal server does not answer; running operations wait for it, none is lost',
      next: 'Start `blockflow up`, or set TEMPORAL_ADDRESS; `blockflow doctor` looks closer',
    },
    cause,
  );
}

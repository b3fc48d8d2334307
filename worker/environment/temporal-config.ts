/**
 * Which Temporal server is meant: the standard environment configuration, else the `up` of this
 * machine.
 */
import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig';
import { readUpFile } from './up-file.ts';

export interface TemporalConfig {
  connectionOptions: ClientConnectConfig['connectionOptions'] & { address: string };
  namespace: string;
  /** Where the address comes from, for messages. */
  source: 'environment' | 'blockflow up' | 'default';
}

/** TEMPORAL_ADDRESS and profiles win; without them the running `blockflow up` counts. */
export function temporalConfig(stateDir: string): TemporalConfig {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const { address } = connectionOptions;
  if (address !== undefined) {
    return {
      connectionOptions: { ...connectionOptions, address },
      namespace,
      source: 'environment',
    };
  }
  const up = readUpFile(stateDir)?.temporal;
  return {
    connectionOptions: { ...connectionOptions, address: up?.address ?? 'localhost:7233' },
    namespace,
    source: up ? 'blockflow up' : 'default',
  };
}

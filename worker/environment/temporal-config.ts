/**
 * Which Temporal server is meant: the standard environment configuration, else the `up` of this
 * machine.
 */
import { resolve } from 'node:path';
import { loadClientConnectConfig, type ClientConnectConfig } from '@temporalio/envconfig';
import { readUpFile } from './up-file.ts';
import { profilePath } from './up-files.ts';

export interface TemporalConfig {
  connectionOptions: ClientConnectConfig['connectionOptions'] & { address: string };
  namespace: string;
  /** Where the address comes from, for messages. */
  source: 'environment' | 'blockflow up' | 'default';
}

/**
 * TEMPORAL_ADDRESS and profiles win; without them the running `blockflow up` counts.
 * @param wanted an address that wins over both
 */
export function temporalConfig(stateDir: string, wanted?: string): TemporalConfig {
  // Our own file, which the guide has scripts export, names our own server.
  const { TEMPORAL_ADDRESS, TEMPORAL_CONFIG_FILE } = process.env;
  const disableFile = !TEMPORAL_ADDRESS && isOwnFile(stateDir, TEMPORAL_CONFIG_FILE);
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig({ disableFile });
  const address = wanted ?? connectionOptions.address;
  const up = readUpFile(stateDir)?.temporal;
  if (up && (address === undefined || wanted === up.address)) return upConfig(stateDir, namespace);
  return {
    connectionOptions: { ...connectionOptions, address: address ?? 'localhost:7233' },
    namespace,
    source: address === undefined ? 'default' : 'environment',
  };
}

const isOwnFile = (stateDir: string, file = '') =>
  file !== '' && resolve(file) === resolve(profilePath(stateDir));

/** As `up` has described it for every client of Temporal. */
export function upConfig(stateDir: string, namespace: string): TemporalConfig {
  const configSource = { path: profilePath(stateDir) };
  const profile = { configSource, profile: 'default', disableEnv: true };
  const { connectionOptions } = loadClientConnectConfig(profile);
  const { address = '' } = connectionOptions;
  return {
    connectionOptions: { ...connectionOptions, address },
    namespace,
    source: 'blockflow up',
  };
}

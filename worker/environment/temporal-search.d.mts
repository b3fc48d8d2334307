type Env = Record<string, string | undefined>;

export const temporalVersion: string;
export const fallbackTemporalVersion: string;
export function cacheFolder(env?: Env): string;
export function temporalCacheFolder(env?: Env): string;
export function isExecutable(file: string): Promise<boolean>;
export function isNewEnough(versionLine: string): boolean;
export function answersAsTemporal(file: string): Promise<boolean>;
export function findTemporalBinary(env?: Env): Promise<string | undefined>;

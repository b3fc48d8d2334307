export const clusterPrograms: { server: string; sqlTool: string };
export function postgresFolder(): string | undefined;
export function installClusterPrograms(): Promise<void>;

export function sha256Of(file: string): Promise<string>;
export function fetchPinned(url: string, file: string, sha256: string): Promise<void>;

export const suites: Record<string, string[]>;
export const apart: Record<string, string[]>;
export const named: { crash: string[] };

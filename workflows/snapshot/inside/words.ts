/** In the audit log before anything is touched: the same request goes on from it, or is done. */
export const INSIDE_BEGUN = 'begun-inside';

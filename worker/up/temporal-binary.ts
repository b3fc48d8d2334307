/** The product's door to the Temporal server binary; the search itself is shared with set-up. */
export { findTemporalBinary } from '../environment/temporal-search.mjs';

/** Answers, so that whoever asks knows that the agent takes tasks. */
export const observePresence = (): Promise<void> => Promise.resolve();

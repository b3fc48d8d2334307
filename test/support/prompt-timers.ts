/** Dynamic configuration of a test's server: else whatever is tried again waits a second more. */
export const promptTimers = ['history.timerProcessorMaxTimeShift="5ms"'];

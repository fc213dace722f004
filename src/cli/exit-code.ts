/** Done, or ended by a signal after a drain. */
export const EXIT_OK = 0;
/** It could not start, or a bug ended it. */
export const EXIT_FAILURE = 1;
/** The command line or the configuration is wrong: EX_USAGE of sysexits(3), as the model uses it. */
export const EXIT_USAGE = 64;

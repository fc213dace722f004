/** Why a head is refused: the status towards a client (a server's bad head is 502 whatever stands here), and words for operators. */
export interface HeadProblem {
  readonly status: 400 | 414 | 431 | 501;
  /** Names what is wrong, never a header's value. */
  readonly problem: string;
}

/** What of autocannon is used here: it comes without types of its own. */
declare module "autocannon" {
  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    /** Milliseconds between samples; a run ends with one. */
    readonly sampleInt: number;
    /** Anything else is a mismatch. Empty: not looked at. */
    readonly expectBody: string;
  }
  interface Result {
    /** Of connections, and timeouts. */
    readonly errors: number;
  }
  interface Run extends Promise<Result> {
    /** @param listener told of each response its size, with the head, and how long it took. */
    on(
      event: "response",
      listener: (client: unknown, status: number, bytes: number, milliseconds: number) => void,
    ): this;
    /** After the response whose body is another than expected. */
    on(event: "reqMismatch", listener: (body: string) => void): this;
  }
  function autocannon(options: Options): Run;
  export default autocannon;
}

import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";

/** More than the window of a stream, so that the cases about flow control find something to hold back. */
const BODY = Buffer.alloc(128 * 1024, "h2spec ");

export interface ConformanceApplication {
  readonly port: number;
  close(): Promise<void>;
}

/** The HTTP/2 application behind the proxies: answers every request, whatever its method, once the request has ended. */
export async function startApplication(): Promise<ConformanceApplication> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer((request, response) => {
    // Streams that a case resets under way are none of the application's concern.
    request.on("error", () => {});
    response.on("error", () => {});
    request.once("end", () => response.end(BODY)).resume();
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {}).once("close", () => sessions.delete(session));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    close: async () => {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

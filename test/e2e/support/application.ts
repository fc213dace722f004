/**
 * The application that is called, as its own program: `application.ts PORT MARKER`. It knows nothing of a mesh. Answers tell
 * what it saw; `GET /seen` tells how many other requests there have been.
 */
import { createServer } from "node:http";

const [port = "", marker = ""] = process.argv.slice(2);
let seen = 0;

const server = createServer((request, response) => {
  if (request.url === "/seen") {
    response.end(String(seen));
    return;
  }
  seen++;
  const { localAddress, remoteAddress } = request.socket;
  response.setHeader("content-type", "application/json");
  response.end(
    JSON.stringify({ marker, url: request.url, headers: request.headers, localAddress, remoteAddress }),
  );
});
server.listen({ host: "::", port: Number(port) }, () => process.stdout.write("listening\n"));

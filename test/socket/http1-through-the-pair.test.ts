import assert from "node:assert/strict";
import { request as httpRequest, Agent, type IncomingMessage, type RequestOptions } from "node:http";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { httpApp, identityOf, metricsOf, Pair, portOf, sum, untilAllClosed } from "./pair.ts";
import type { Server } from "node:http";

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly trailers: IncomingMessage["trailers"];
  readonly body: string;
}

describe("HTTP/1 through two sidecars", { timeout: 30_000 }, () => {
  let app: Server;
  let pair: Pair;
  const agent = new Agent({ keepAlive: true });

  before(async () => {
    app = await httpApp((request, response) => {
      const url = request.url ?? "";
      response.setHeader("seen", JSON.stringify([request.httpVersion, request.method, url, request.headers]));
      if (url === "/204") return response.writeHead(204).end();
      if (url === "/304") return response.writeHead(304, { etag: '"x"' }).end();
      if (url === "/forged") response.setHeader("l5d-proxy-error", "from the application");
      if (url === "/slow") return undefined;
      if (url === "/trailers") {
        response.setHeader("trailer", "x-sum");
        response.write("body");
        response.addTrailers({ "x-sum": "42" });
        return response.end();
      }
      const body: Buffer[] = [];
      request.on("data", (chunk: Buffer) => body.push(chunk));
      request.on("end", () => {
        if (request.trailers["x-up"] !== undefined) response.setHeader("up", request.trailers["x-up"]);
        response.write("got ");
        response.end(Buffer.concat(body));
      });
      return undefined;
    });
    pair = await Pair.start({ ports: { http: portOf(app) } });
  });

  after(async () => {
    agent.destroy();
    app.closeAllConnections();
    app.close();
    await pair.close();
  });

  const ask = (
    options: RequestOptions,
    body?: (send: ReturnType<typeof httpRequest>) => void,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = httpRequest(
        { host: "127.0.0.1", port: pair.forward("http"), agent, ...options },
        (response) => {
          let text = "";
          response.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              trailers: response.trailers,
              body: text,
            }),
          );
          response.on("error", reject);
        },
      );
      request.on("error", reject);
      if (body === undefined) request.end();
      else body(request);
    });

  const seen = (
    answer: Answer,
  ): { version: string; method: string; url: string; headers: Record<string, string> } => {
    const [version, method, url, headers] = JSON.parse(String(answer.headers["seen"])) as [
      string,
      string,
      string,
      Record<string, string>,
    ];
    return { version, method, url, headers };
  };

  /** Sends exact bytes and collects what comes back until the connection ends or `done`. */
  const raw = (text: string, done: (got: string) => boolean, port = pair.forward("http")): Promise<string> =>
    new Promise((resolve, reject) => {
      let got = "";
      const socket: Socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
      socket.on("data", (chunk) => {
        got += chunk.toString("latin1");
        if (done(got)) socket.destroy();
      });
      socket.on("error", reject);
      socket.on("close", () => resolve(got));
    });

  test("a GET arrives as HTTP/1.1, without the mesh's headers and with the client's identity", async () => {
    const answer = await ask({
      path: "/a?b=c",
      headers: {
        host: "web.shop",
        "l5d-client-id": "root",
        "l5d-require-id": identityOf("web"),
        "x-own": "1",
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      },
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "got ");
    const { version, url, headers } = seen(answer);
    assert.equal(version, "1.1");
    assert.equal(url, "/a?b=c");
    assert.equal(headers["host"], "web.shop");
    assert.equal(headers["x-own"], "1");
    // No collector is configured: nobody touches a trace.
    assert.equal(headers["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    const ofMesh = Object.entries(headers).filter(([name]) => name.startsWith("l5d-"));
    assert.deepEqual(ofMesh, [["l5d-client-id", identityOf("client")]]);
    assert.deepEqual(
      Object.keys(answer.headers).filter((name) => name.startsWith("l5d-")),
      [],
    );
  });

  test("a request that requires another identity never reaches the application", async () => {
    const answer = await ask({ path: "/", headers: { "l5d-require-id": identityOf("other") } });
    assert.equal(answer.status, 502);
    assert.match(
      String(answer.headers["l5d-proxy-error"]),
      /require identity other\.shop.* but found web\.shop/,
    );
    assert.equal(answer.headers["connection"], "close");
  });

  test("a POST with a length keeps its length and body", async () => {
    const answer = await ask({ method: "POST", headers: { "content-length": 5 } }, (r) => r.end("hello"));
    assert.equal(answer.body, "got hello");
    assert.equal(seen(answer).headers["content-length"], "5");
    assert.equal(seen(answer).headers["transfer-encoding"], undefined);
  });

  test("chunked bodies stay chunked both ways, whole at a megabyte", async () => {
    const body = "0123456789abcdef".repeat(65_536);
    const answer = await ask({ method: "POST" }, (r) => {
      r.write(body.slice(0, 100_000));
      r.end(body.slice(100_000));
    });
    assert.equal(seen(answer).headers["transfer-encoding"], "chunked");
    assert.equal(answer.headers["transfer-encoding"], "chunked");
    assert.ok(answer.body === `got ${body}`);
  });

  test("HEAD, 204 and 304 have no body and leave the connection usable", async () => {
    const head = await ask({ method: "HEAD", path: "/" });
    assert.deepEqual([head.status, head.body], [200, ""]);
    assert.equal(seen(head).method, "HEAD");
    const none = await ask({ path: "/204" });
    assert.deepEqual([none.status, none.body, none.headers["content-length"]], [204, "", undefined]);
    const notModified = await ask({ path: "/304" });
    assert.deepEqual([notModified.status, notModified.headers["etag"]], [304, '"x"']);
    assert.equal((await ask({ path: "/" })).status, 200);
  });

  test("trailers pass both ways where the client takes them", async () => {
    const down = await ask({ path: "/trailers", headers: { te: "trailers" } });
    assert.equal(down.body, "body");
    assert.deepEqual({ ...down.trailers }, { "x-sum": "42" });
    const up = await ask({ method: "POST", headers: { trailer: "x-up" } }, (r) => {
      r.write("b");
      r.addTrailers({ "x-up": "7" });
      r.end();
    });
    assert.equal(up.headers["up"], "7");
  });

  test("pipelined requests are answered in order on one connection", async () => {
    const one = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: web\r\n\r\n`;
    const got = await raw(one("/1") + one("/2") + one("/3"), (text) => text.split("got ").length === 4);
    const order = [...got.matchAll(/"GET","(\/\d)"/g)].map((match) => match[1]);
    assert.deepEqual(order, ["/1", "/2", "/3"]);
  });

  test("HTTP/1.0 is answered in kind and closed", async () => {
    const got = await raw("GET /old HTTP/1.0\r\n\r\n", () => false);
    assert.match(got, /^HTTP\/1\.[01] 200 /);
    assert.match(got, /\r\n\r\ngot $/);
  });

  test("an absolute-form target through a forward reaches the application as one", async () => {
    const got = await raw(
      "GET http://web.shop/abs HTTP/1.1\r\nhost: web.shop\r\nconnection: close\r\n\r\n",
      () => false,
    );
    assert.match(got, /"GET","http:\/\/web\.shop\/abs"/);
  });

  test("explicit proxying asks the server in origin-form", async () => {
    const authority = `web.shop.svc.cluster.local:${portOf(app)}`;
    const got = await raw(
      `GET http://${authority}/exp HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n`,
      () => false,
      pair.outboundPort,
    );
    assert.match(got, /^HTTP\/1\.1 200 /);
    assert.match(got, /"GET","\/exp"/);
    assert.ok(got.includes(`\\"host\\":\\"${authority}\\"`) || got.includes(`"host":"${authority}"`), got);
  });

  test("a proxy port tells whoever takes it for a server what to do", async () => {
    const got = await raw(
      "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
      () => false,
      pair.outboundPort,
    );
    assert.match(got, /^HTTP\/1\.1 400 /);
    assert.match(got, /this is a proxy port/);
  });

  test("a name that the control plane does not know is a 502 that says so, and asked for again next time", async () => {
    const authority = "nobody.example.com";
    const ask = `GET http://${authority}/ HTTP/1.1\r\nhost: ${authority}\r\n\r\n`;
    for (let i = 0; i < 2; i++) {
      const got = await raw(ask, () => false, pair.outboundPort);
      assert.match(got, /^HTTP\/1\.1 502 /);
      assert.match(got, /l5d-proxy-error: nobody\.example\.com:80: .*does not know/);
    }
  });

  test("a client that expects 100 is told to go on before its body is asked for", async () => {
    const answer = await new Promise<Answer>((resolve, reject) => {
      let continued = false;
      void ask({ method: "POST", headers: { expect: "100-continue", "content-length": 3 } }, (r) => {
        r.on("continue", () => {
          continued = true;
          r.end("abc");
        });
        r.flushHeaders();
      }).then((a) => (continued ? resolve(a) : reject(new Error("no 100"))), reject);
    });
    assert.equal(answer.body, "got abc");
  });

  test("an application cannot speak to the peer proxy in the proxy's name", async () => {
    const answer = await ask({ path: "/forged" });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["l5d-proxy-error"], undefined);
  });

  test("a client that leaves ends its request at the application", async () => {
    const gone = new Promise<void>((resolve) => {
      app.once("request", (request, response) => {
        response.once("close", () => resolve());
        socket.destroy();
        void request;
      });
    });
    const socket = connect(pair.forward("http"), "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET /slow HTTP/1.1\r\nhost: web\r\n\r\n");
    await gone;
  });

  test("every request is counted once on each side, and gauges fall back to zero", async () => {
    const before = [await metricsOf(pair.client), await metricsOf(pair.server)] as const;
    const count = 5;
    for (let i = 0; i < count; i++) assert.equal((await ask({ path: `/${i}` })).status, 200);
    const now = [await metricsOf(pair.client), await metricsOf(pair.server)] as const;
    const target = { target_port: String(portOf(app)) };
    for (const [side, direction] of [
      [0, "outbound"],
      [1, "inbound"],
    ] as const) {
      const labels = { direction, ...target };
      const grown = (name: string, more = {}): number =>
        sum(now[side], name, { ...labels, ...more }) - sum(before[side], name, { ...labels, ...more });
      assert.equal(grown("request_total"), count, direction);
      assert.equal(
        grown("response_total", { classification: "success", status_code: "200" }),
        count,
        direction,
      );
      assert.equal(grown("response_latency_ms_count", { status_code: "200" }), count, direction);
    }
    agent.destroy();
    app.closeIdleConnections();
    await untilAllClosed(pair.client, "outbound");
    await untilAllClosed(pair.server, "inbound");
    const page = await metricsOf(pair.server);
    assert.ok(sum(page, "tcp_read_bytes_total", { direction: "inbound", peer: "dst" }) > 0);
    assert.equal(sum(page, "proxy_build_info", { vendor: "outrigger" }), 1);
    assert.equal(sum(page, "rustls_info"), 1);
  });
});

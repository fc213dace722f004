/** A SPIFFE agent for tests: a real gRPC server on a Unix socket, whose every answer the test decides. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { Server, ServerCredentials, status, type ServerWritableStream } from "@grpc/grpc-js";
import {
  SpiffeWorkloadAPI,
  X509SVIDResponseSchema,
  type X509SVIDRequest,
  type X509SVIDResponse,
} from "../../src/proto/gen/spiffe_workload_pb.js";
import { addGrpcService } from "../../src/proto/grpc-service.ts";
import type { TestLeaf } from "./certs.ts";

export type SvidAnswer = MessageInitShape<typeof X509SVIDResponseSchema>;

/** How a call may be refused. */
export interface Refusal {
  readonly code: number;
  readonly details: string;
}

type Call = ServerWritableStream<X509SVIDRequest, X509SVIDResponse>;

export class WorkloadApi {
  readonly socketPath: string;
  /** Calls that were made, refused ones too. */
  calls = 0;
  readonly #dir: string;
  readonly #open = new Set<Call>();
  #answer: SvidAnswer | Refusal | undefined;
  #server: Server | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
    this.socketPath = join(dir, "api.sock");
  }

  /** A socket's path where nobody listens yet. */
  static async absent(): Promise<WorkloadApi> {
    return new WorkloadApi(await mkdtemp(join(tmpdir(), "agent-")));
  }

  /** Listens; what there is to answer is decided by `publish` and `refuse`. Until then callers wait. */
  static async start(answer?: SvidAnswer): Promise<WorkloadApi> {
    const agent = await WorkloadApi.absent();
    if (answer !== undefined) agent.publish(answer);
    await agent.listen();
    return agent;
  }

  /** Listens, after a `kill` again on the same path. */
  async listen(): Promise<void> {
    const server = new Server();
    addGrpcService(server, SpiffeWorkloadAPI, { fetchX509SVID: (call) => this.#take(call) });
    await rm(this.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${this.socketPath}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    this.#server = server;
  }

  /** What every caller gets from now on; those that are connected get it at once. */
  publish(answer: SvidAnswer): void {
    this.#answer = answer;
    for (const call of this.#open) call.write(create(X509SVIDResponseSchema, answer));
  }

  /** Ends what is open and refuses what comes. */
  refuse(refusal: Refusal): void {
    this.#answer = refusal;
    for (const call of this.#open) call.emit("error", refusal);
    this.#open.clear();
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#open.size;
  }

  /** Drops every connection, as an agent that dies does; its socket stays behind. */
  kill(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#open.clear();
  }

  async close(): Promise<void> {
    this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }

  #take(call: Call): void {
    this.calls++;
    if (call.metadata.get("workload.spiffe.io")[0] !== "true") {
      call.emit("error", { code: status.INVALID_ARGUMENT, details: "security header missing from request" });
      return;
    }
    if (this.#answer !== undefined && "details" in this.#answer) {
      call.emit("error", this.#answer);
      return;
    }
    this.#open.add(call);
    call.on("cancelled", () => this.#open.delete(call));
    if (this.#answer !== undefined) call.write(create(X509SVIDResponseSchema, this.#answer));
  }
}

/** A leaf as an agent hands it out under an id. */
export function svidOf(spiffeId: string, leaf: TestLeaf): NonNullable<SvidAnswer["svids"]>[number] {
  return {
    spiffeId,
    x509Svid: Buffer.concat([leaf.leafDer, ...leaf.intermediatesDer]),
    // A copy: whoever reads it may overwrite it.
    x509SvidKey: Buffer.from(leaf.keyDer),
  };
}

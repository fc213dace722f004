/** An observer, as the mesh's tap controller is one: grpc-js over mesh TLS. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ChannelCredentials, Client, type ClientReadableStream, type StatusObject } from "@grpc/grpc-js";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { MeshCredentials } from "../../src/control/mesh-credentials.ts";
import {
  type ObserveRequest_ExtractSchema,
  type ObserveRequest_MatchSchema,
  ObserveRequestSchema,
  Tap,
  type TapEvent,
} from "../../src/proto/gen/tap_pb.js";
import { grpcMethod } from "../../src/proto/grpc-service.ts";
import type { CredentialsStore } from "../../src/tls/credentials.ts";

export type Asked = MessageInitShape<typeof ObserveRequestSchema>;

/** Takes everything. */
export const EVERYTHING: MessageInitShape<typeof ObserveRequest_MatchSchema> = {
  match: { case: "all", value: { matches: [] } },
};
export const WITH_HEADERS: MessageInitShape<typeof ObserveRequest_ExtractSchema> = {
  extract: { case: "http", value: { extract: { case: "headers", value: {} } } },
};

export interface Observation {
  readonly stream: ClientReadableStream<TapEvent>;
  readonly events: readonly TapEvent[];
  /** Resolves when the proxy has begun to observe. */
  readonly begun: Promise<unknown>;
  /** How the call ended. */
  readonly status: Promise<StatusObject>;
  /** Resolves once so many events have come. */
  arrived(count: number): Promise<void>;
}

export class TapClient {
  readonly #client: Client;

  /** @param store whose certificate is shown; undefined speaks clear text. */
  constructor(port: number, server: string, store: CredentialsStore | undefined) {
    const serverName = parseDnsName(server);
    if (!serverName.ok) throw new Error(serverName.problem);
    const tls =
      store && new MeshCredentials({ serverName: serverName.value, credentials: store.credentials });
    this.#client = new Client(`127.0.0.1:${port}`, tls ?? ChannelCredentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
    });
  }

  observe(asked: Asked): Observation {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(Tap.method.observe);
    const request = create(ObserveRequestSchema, asked);
    const stream = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
    const events: TapEvent[] = [];
    const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
    stream.on("data", (event: TapEvent) => {
      events.push(event);
      for (const { count, resolve } of waiting) if (events.length >= count) resolve();
    });
    // Told as a status as well.
    stream.on("error", () => {});
    return {
      stream,
      events,
      begun: new Promise((resolve) => stream.on("metadata", resolve)),
      status: new Promise((resolve) => stream.on("status", resolve)),
      arrived: (count) =>
        events.length >= count
          ? Promise.resolve()
          : new Promise((resolve) => waiting.push({ count, resolve })),
    };
  }

  close(): void {
    this.#client.close();
  }
}

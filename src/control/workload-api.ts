import { ChannelCredentials, Client, Metadata } from "@grpc/grpc-js";
import { create } from "@bufbuild/protobuf";
import {
  SpiffeWorkloadAPI,
  X509SVIDRequestSchema,
  type X509SVIDResponse,
} from "../proto/gen/spiffe_workload_pb.js";
import { grpcMethod } from "../proto/grpc-service.ts";
import { MESSAGE_MAX_BYTES } from "./control-client.ts";
import type { OpenStream } from "./stream.ts";

/** What a SPIFFE agent wants to see in every call, so that a browser or a misled HTTP client cannot make one. */
const SECURITY_HEADER = "workload.spiffe.io";

/**
 * The SVIDs of this process, as the agent behind a Unix socket hands them out: it knows who asks from the socket itself.
 *
 * Clear text, without a limit on silence: an agent speaks when there is something new. Each stream has a connection of
 * its own, and what fails is for the caller to open again; grpc-js reconnects nothing.
 *
 * @param socketPath without `unix:`.
 *
 * Source: SPIFFE, standards/SPIFFE_Workload_API.md; linkerd2-proxy, linkerd/proxy/spire-client/src/lib.rs.
 */
export function openWorkloadApi(socketPath: string): OpenStream<X509SVIDResponse> {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(SpiffeWorkloadAPI.method.fetchX509SVID);
  return (events) => {
    const client = new Client(`unix:${socketPath}`, ChannelCredentials.createInsecure(), {
      "grpc.max_receive_message_length": MESSAGE_MAX_BYTES,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      "grpc.enable_http_proxy": 0,
      "grpc.service_config_disable_resolution": 1,
    });
    const metadata = new Metadata();
    metadata.set(SECURITY_HEADER, "true");
    const request = create(X509SVIDRequestSchema);
    const call = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
    );
    let over = false;
    call.on("data", (message: X509SVIDResponse) => {
      if (!over) events.message(message);
    });
    // Every error comes as a status as well; without a listener it would end the process.
    call.on("error", () => {});
    // Messages that arrived before the status may still be on their way through the stream's buffer.
    call.on("status", ({ code, details }) => {
      setImmediate(() => {
        client.close();
        if (over) return;
        over = true;
        events.end({ code, message: details });
      });
    });
    return {
      cancel: () => {
        over = true;
        call.cancel();
        client.close();
      },
    };
  };
}

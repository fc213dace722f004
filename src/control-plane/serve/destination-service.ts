import type { Server } from "@grpc/grpc-js";
import { addGrpcService } from "../../proto/grpc-service.ts";
import { Destination, DestinationProfileSchema } from "../../proto/gen/destination_pb.js";
import { findEndpoints } from "../index/destination.ts";
import { findProfile } from "../index/profile.ts";
import { EndpointDiff } from "./endpoint-diff.ts";
import { newest } from "./newest.ts";
import { errorOf, type OpenStreams } from "./open-streams.ts";

/** Serves discovery: the endpoints behind a name, and what is known about an address. */
export function addDestinationService(server: Server, streams: OpenStreams): void {
  addGrpcService(server, Destination, {
    get: (call) => {
      const { path, contextToken } = call.request;
      const diff = new EndpointDiff();
      let opened = false;
      streams.serve(call, (cluster) => {
        const found = findEndpoints(cluster, path, contextToken);
        // Once opened, a service that is deleted is an empty one: it may come back under the same name.
        if (!found.ok && !(opened && found.status === "not_found"))
          return { kind: "end", error: errorOf(found) };
        opened = true;
        return diff.next(found.ok ? found.value : undefined);
      });
    },
    getProfile: (call) => {
      const { path, contextToken } = call.request;
      streams.serve(
        call,
        newest(
          DestinationProfileSchema,
          (cluster) => findProfile(cluster, path, contextToken),
          (_last, next) => (next === undefined ? "stay_silent" : "send"),
        ),
      );
    },
  });
}

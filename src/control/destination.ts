import { create } from "@bufbuild/protobuf";
import { formatNameAddr, type NameAddr } from "../addr/name-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { EndpointUpdate } from "../policy/endpoint.ts";
import { Destination, GetDestinationSchema } from "../proto/gen/destination_pb.js";
import type { EndpointListener } from "./control-plane.ts";
import { endpointUpdateInSteps } from "./convert/endpoint-update.ts";
import { inTurns } from "./in-turns.ts";
import { runResolutionStream } from "./resolution-stream.ts";
import { machineOptions, type StreamContext } from "./stream-context.ts";
import { isInvalidRequest, type OpenStream } from "./stream.ts";

/** Destination.Get: see `ControlPlane.resolveEndpoints`. Source: linkerd2-proxy, linkerd/proxy/api-resolve/src/resolve.rs. */
export function resolveEndpoints(
  context: StreamContext,
  contextToken: string,
  path: NameAddr,
  signal: AbortSignal,
  listener: EndpointListener,
): void {
  const text = formatNameAddr(path);
  const request = create(GetDestinationSchema, { path: text, contextToken });
  const openUpdates = inTurns(
    context.client.byteStream(Destination.method.get, request),
    endpointUpdateInSteps,
  );
  const open: OpenStream<EndpointUpdate> = (events) =>
    openUpdates({
      message({ change, problems }) {
        for (const problem of problems) context.log.warn("bad endpoint", { path: text, problem });
        if (change !== undefined) events.message(change);
      },
      end: (status) => events.end(status),
    });
  runResolutionStream({
    ...machineOptions(context, open, `resolving ${text}`),
    isFatal: isInvalidRequest,
    signal,
    onMessage: (update) => listener.update(update),
    onFatal: (status) =>
      listener.failed(new ProxyError("pool_failed", `resolving ${text}: ${status.message}`)),
  });
}

import { create } from "@bufbuild/protobuf";
import { formatAddr, type Addr } from "../addr/name-addr.ts";
import type { Profile } from "../policy/client-policy.ts";
import { Destination, GetDestinationSchema } from "../proto/gen/destination_pb.js";
import type { Watch } from "../watch/watch.ts";
import { profileFromProto } from "./convert/profile.ts";
import { firstAnswer } from "./first-answer.ts";
import { machineOptions, type StreamContext } from "./stream-context.ts";
import { isInvalidRequest, isUnknownTarget, type CallStatus } from "./stream.ts";

/** Destination.GetProfile: see `ControlPlane.watchProfile`. Source: linkerd2-proxy, linkerd/service-profiles/src/client.rs. */
export async function watchProfile(
  context: StreamContext,
  contextToken: string,
  target: Addr,
  signal: AbortSignal,
  onUnknown?: () => void,
): Promise<Watch<Profile> | undefined> {
  const path = formatAddr(target);
  const port = target.kind === "name" ? target.name.port : target.socket.port;
  const request = create(GetDestinationSchema, { path, contextToken });
  const open = context.client.serverStream(Destination.method.getProfile, request);
  const refused = (status: CallStatus): void =>
    context.log.warn("the control plane refuses to give a profile", { target: path, error: status.message });
  const options = machineOptions(context, open, `profile of ${path}`);
  const onRetry = (status: CallStatus, pauseMs: number): void => {
    options.onRetry(status, pauseMs);
    if (isUnknownTarget(status.code)) onUnknown?.();
  };
  const answer = await firstAnswer(
    { ...options, onRetry, isFatal: isInvalidRequest, signal },
    (message) => profileFromProto(message, port),
    refused,
  );
  if (answer.kind === "final") refused(answer.status);
  return answer.kind === "watch" ? answer.watch : undefined;
}

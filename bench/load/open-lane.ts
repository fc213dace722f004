import { assertNever } from "../../src/parsed.ts";
import { FreshLane } from "./fresh-lane.ts";
import { GrpcStreamLane } from "./grpc-stream-lane.ts";
import { Http1Client } from "./http1.ts";
import { Http2Lane } from "./http2-lane.ts";
import { connectTo, startConnecting } from "./kernel.ts";
import type { Lane, LaneOwner } from "./lane.ts";
import type { LoadSpec } from "./load-spec.ts";
import type { Poller } from "./poller.ts";
import { SerialLane } from "./serial-lane.ts";
import { TcpClient } from "./tcp.ts";

export function openLane(poller: Poller, spec: LoadSpec, owner: LaneOwner): Lane {
  if (spec.freshConnections !== true) return laneOn(connectTo(spec.port), poller, spec, owner);
  const once = { ...spec, streams: 1 };
  return new FreshLane(owner, spec, (each) => laneOn(startConnecting(spec.port), poller, once, each));
}

function laneOn(fd: number, poller: Poller, spec: LoadSpec, owner: LaneOwner): Lane {
  switch (spec.protocol) {
    case "http1":
      return new SerialLane(owner, (waiter) => new Http1Client(poller, fd, spec, waiter));
    case "tcp":
      return new SerialLane(owner, (waiter) => new TcpClient(poller, fd, spec, waiter));
    case "http2":
    case "grpc":
      return new Http2Lane(poller, fd, spec, owner);
    case "grpc-stream":
      return new GrpcStreamLane(poller, fd, spec, owner);
    default:
      return assertNever(spec.protocol);
  }
}

import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { addGrpcService } from "../../src/proto/grpc-service.ts";
import {
  Destination,
  type DestinationProfile,
  type GetDestination,
  type Update,
} from "../../src/proto/gen/destination_pb.js";
import {
  InboundServerPolicies,
  type PortSpec,
  type Server as ServerMessage,
} from "../../src/proto/gen/inbound_pb.js";
import { OutboundPolicies, type OutboundPolicy, type TrafficSpec } from "../../src/proto/gen/outbound_pb.js";
import { Identity, type CertifyRequest, type CertifyResponse } from "../../src/proto/gen/identity_pb.js";

/** Streams that clients opened, waiting to be answered in order. */
export class Calls<Req, Res> {
  readonly #waiting: ServerWritableStream<Req, Res>[] = [];
  readonly #takers: ((call: ServerWritableStream<Req, Res>) => void)[] = [];
  opened = 0;

  readonly handler = (call: ServerWritableStream<Req, Res>): void => {
    this.opened++;
    const taker = this.#takers.shift();
    if (taker === undefined) this.#waiting.push(call);
    else taker(call);
  };

  /** The next stream, once a client opens it. */
  next(): Promise<ServerWritableStream<Req, Res>> {
    const call = this.#waiting.shift();
    return call === undefined ? new Promise((resolve) => this.#takers.push(resolve)) : Promise.resolve(call);
  }
}

/** A control plane over a real socket, whose every answer the test writes. */
export class ScriptedServer {
  readonly get = new Calls<GetDestination, Update>();
  readonly getProfile = new Calls<GetDestination, DestinationProfile>();
  readonly watchPort = new Calls<PortSpec, ServerMessage>();
  readonly watch = new Calls<TrafficSpec, OutboundPolicy>();
  certify: (request: CertifyRequest) => CertifyResponse = () => {
    throw new Error("no certificate was scripted");
  };
  port = 0;
  #server = new Server();

  /** Listens; after a `kill`, on the same port again. */
  async start(): Promise<this> {
    this.#server = new Server();
    const unary = (): never => {
      throw new Error("proxies watch");
    };
    addGrpcService(this.#server, Destination, { get: this.get.handler, getProfile: this.getProfile.handler });
    addGrpcService(this.#server, InboundServerPolicies, {
      getPort: unary,
      watchPort: this.watchPort.handler,
    });
    addGrpcService(this.#server, OutboundPolicies, { get: unary, watch: this.watch.handler });
    addGrpcService(this.#server, Identity, {
      certify: (call, callback) => callback(null, this.certify(call.request)),
    });
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${this.port}`, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    return this;
  }

  /** Drops every connection, as a process that dies does. */
  kill(): void {
    this.#server.forceShutdown();
  }
}

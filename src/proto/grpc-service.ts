import {
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type DescService,
  type MessageShape,
} from "@bufbuild/protobuf";
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  Server,
  ServiceDefinition,
} from "@grpc/grpc-js";

/** A generated method whose message types are known. */
export type TypedMethod<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I;
  readonly output: O;
};

/** What grpc-js must know of a generated method: its path and how its messages become bytes and back. */
export function grpcMethod<I extends DescMessage, O extends DescMessage>(
  method: TypedMethod<I, O>,
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  const kind = method.methodKind;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: kind === "client_streaming" || kind === "bidi_streaming",
    responseStream: kind === "server_streaming" || kind === "bidi_streaming",
    requestSerialize: (message) => bytesOf(method.input, message),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (message) => bytesOf(method.output, message),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

/** The handlers of a generated service, one per method, under the methods' local names (`getProfile`). */
export type GrpcHandlers<S extends DescService> = {
  readonly [K in keyof S["method"]]: S["method"][K] extends {
    readonly methodKind: infer Kind;
    readonly input: infer I extends DescMessage;
    readonly output: infer O extends DescMessage;
  }
    ? Kind extends "server_streaming"
      ? handleServerStreamingCall<MessageShape<I>, MessageShape<O>>
      : handleUnaryCall<MessageShape<I>, MessageShape<O>>
    : never;
};

/** Serves a generated service. Methods with client streaming have no handler type: the mesh has none. */
export function addGrpcService<S extends DescService>(
  server: Server,
  service: S,
  handlers: GrpcHandlers<S>,
): void {
  const definition: ServiceDefinition = Object.fromEntries(
    service.methods.map((method) => [method.localName, grpcMethod(method)]),
  );
  server.addService(definition, handlers);
}

function bytesOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

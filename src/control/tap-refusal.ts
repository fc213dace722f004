import { GRPC_CONTENT_TYPE, GRPC_MESSAGE, GRPC_STATUS } from "../headers.ts";
import {
  DiscardSink,
  ResponseHead,
  statusField,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { encodeGrpcMessage } from "../wire/grpc-message.ts";
import { headerName, internField, type HeaderField } from "../wire/header-field.ts";

/** gRPC's UNAUTHENTICATED. */
const UNAUTHENTICATED = "16";

/** Answers every call of a client that may not tap, whatever it calls, without looking at what it sends. */
export class TapRefusal implements HttpService {
  readonly #fields: readonly HeaderField[];

  constructor(reason: string) {
    this.#fields = [
      internField(headerName("content-type"), GRPC_CONTENT_TYPE),
      internField(headerName(GRPC_STATUS), UNAUTHENTICATED),
      internField(headerName(GRPC_MESSAGE), encodeGrpcMessage(reason)),
    ];
  }

  call(_head: RequestHead, _last: boolean, response: ResponseSink): Sink {
    response.head(new ResponseHead(20, 200, statusField(200), this.#fields.slice()), true);
    return new DiscardSink(response);
  }
}

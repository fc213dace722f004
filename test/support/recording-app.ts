import type { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  ResponseHead,
  statusField,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../../src/http/message.ts";
import { headerField, headerName, type HeaderField } from "../../src/wire/header-field.ts";

/** A request as an application saw it. */
export interface SeenRequest {
  readonly head: RequestHead;
  readonly response: ResponseSink;
  /** Fields as `name: value`, in order. */
  readonly fields: string[];
  body: string;
  complete: boolean;
  trailers: string[];
  reset: ProxyError | undefined;
  /** Bytes credited for the response. */
  credited: number;
}

/** An application that remembers what it was asked, and answers complete requests with 200 and "ok" unless told otherwise. */
export class RecordingApp implements HttpService {
  readonly seen: SeenRequest[] = [];
  readonly #answer: (request: SeenRequest) => void;
  readonly #credits: boolean;

  /** @param answer called when a request is complete; @param credits whether body bytes are credited as they come. */
  constructor(answer: (request: SeenRequest) => void = answerOk, credits = true) {
    this.#answer = answer;
    this.#credits = credits;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const seen: SeenRequest = {
      head,
      response,
      fields: textOf(head.fields),
      body: "",
      complete: last,
      trailers: [],
      reset: undefined,
      credited: 0,
    };
    this.seen.push(seen);
    if (last) this.#answer(seen);
    const complete = (): void => {
      seen.complete = true;
      this.#answer(seen);
    };
    return {
      data: (buffer, start, end, isLast) => {
        seen.body += buffer.toString("latin1", start, end);
        if (this.#credits && end > start) response.credit(end - start);
        if (isLast) complete();
      },
      trailers: (fields) => {
        seen.trailers = textOf(fields);
        complete();
      },
      reset: (error) => {
        seen.reset = error;
      },
      credit: (bytes) => {
        seen.credited += bytes;
      },
    };
  }
}

/** `name: value` of each field. */
export function textOf(fields: readonly HeaderField[]): string[] {
  return fields.map((field) => `${field.name.text}: ${field.value}`);
}

/** A response head from a status and `name: value` lines. */
export function responseHead(status: number, ...lines: string[]): ResponseHead {
  return new ResponseHead(11, status, statusField(status), fieldsOf(lines));
}

export function fieldsOf(lines: readonly string[]): HeaderField[] {
  return lines.map((line) => {
    const colon = line.indexOf(":");
    return headerField(headerName(line.slice(0, colon)), line.slice(colon + 1).trim());
  });
}

/** Sends a body, or the end of one, as one piece. */
export function send(sink: Sink, text: string, last: boolean): void {
  const bytes = Buffer.from(text, "latin1");
  sink.data(bytes, 0, bytes.length, last);
}

export function answerOk({ response }: SeenRequest): void {
  response.head(responseHead(200, "content-length: 2"), false);
  send(response, "ok", true);
}

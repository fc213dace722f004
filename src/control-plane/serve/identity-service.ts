import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { status, type Server } from "@grpc/grpc-js";
import { parseCsr } from "../../identity/csr.ts";
import type { Log } from "../../log/log.ts";
import { addGrpcService } from "../../proto/grpc-service.ts";
import {
  CertifyResponseSchema,
  Identity,
  type CertifyRequest,
  type CertifyResponse,
} from "../../proto/gen/identity_pb.js";
import { wallMs } from "../../time/clock.ts";
import type { Watch } from "../../watch/watch.ts";
import type { Authority, IssuePolicy } from "../ca/authority.ts";
import type { GrpcError } from "./open-streams.ts";
import type { TokenStore } from "./token-store.ts";

/** Issues certificates to workloads that have the token of their identity. Statuses as in linkerd2, pkg/identity/service.go. */
export class IdentityService {
  readonly #authority: Watch<Authority>;
  readonly #tokens: TokenStore;
  readonly #policy: IssuePolicy;
  readonly #log: Log;

  constructor(authority: Watch<Authority>, tokens: TokenStore, policy: IssuePolicy, log: Log) {
    this.#authority = authority;
    this.#tokens = tokens;
    this.#policy = policy;
    this.#log = log;
  }

  addTo(server: Server): void {
    addGrpcService(server, Identity, {
      certify: (call, reply) => {
        const result = this.certify(call.request);
        if ("details" in result) {
          this.#log.warn(`Certificate refused: ${result.details}`, { client: call.getPeer() });
          reply(result);
        } else {
          reply(null, result);
        }
      },
    });
  }

  /** The token is checked before anything of the request is interpreted. */
  certify(request: CertifyRequest): CertifyResponse | GrpcError {
    const { identity, token, certificateSigningRequest } = request;
    for (const [name, length] of [
      ["identity", identity.length],
      ["token", token.length],
      ["certificate_signing_request", certificateSigningRequest.length],
    ] as const) {
      if (length === 0) return { code: status.INVALID_ARGUMENT, details: `missing ${name}` };
    }
    if (!this.#tokens.accepts(identity, token)) {
      return { code: status.FAILED_PRECONDITION, details: "the token does not authenticate the identity" };
    }
    const csrDer = Buffer.from(certificateSigningRequest);
    const csr = parseCsr(csrDer);
    if (!csr.ok) return { code: status.INVALID_ARGUMENT, details: csr.problem };
    const issued = this.#authority.value.issue(csrDer, identity, this.#policy, wallMs());
    if (!issued.ok) return { code: status.FAILED_PRECONDITION, details: issued.problem };
    const { leaf, intermediates, notAfterMs } = issued.value;
    this.#log.info("Certificate issued", { identity, valid_until: new Date(notAfterMs).toISOString() });
    return create(CertifyResponseSchema, {
      leafCertificate: leaf,
      intermediateCertificates: [...intermediates],
      validUntil: timestamp(notAfterMs),
    });
  }
}

function timestamp(ms: number): NonNullable<MessageInitShape<typeof CertifyResponseSchema>["validUntil"]> {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}

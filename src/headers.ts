/** Names of the headers that proxies, control plane and gRPC give a meaning to. No other file spells one. */
export const L5D_CLIENT_ID = "l5d-client-id";
export const L5D_DST_CANONICAL = "l5d-dst-canonical";
export const L5D_DST_OVERRIDE = "l5d-dst-override";
export const L5D_ORIG_PROTO = "l5d-orig-proto";
export const L5D_PROXY_CONNECTION = "l5d-proxy-connection";
export const L5D_PROXY_ERROR = "l5d-proxy-error";
export const L5D_REMOTE_IP = "l5d-remote-ip";
export const L5D_REQUIRE_ID = "l5d-require-id";
export const GRPC_STATUS = "grpc-status";
export const GRPC_MESSAGE = "grpc-message";
export const GRPC_CONTENT_TYPE = "application/grpc";

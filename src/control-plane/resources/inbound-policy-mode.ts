/** What a port accepts where no Server is declared, and what a Server accepts beyond its authorizations. */
export const INBOUND_POLICIES = [
  "all-unauthenticated",
  "all-authenticated",
  "cluster-unauthenticated",
  "cluster-authenticated",
  "audit",
  "deny",
] as const;

export type InboundPolicy = (typeof INBOUND_POLICIES)[number];

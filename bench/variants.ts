/** Ourselves with more to do, to run beside ourselves: what growth costs. */
import { loopbackAddresses } from "./load/addresses.ts";
import { BREAKER, manyEndpoints, manyRoutes, routesWithPolicy, withPolicy } from "./peers/manifests.ts";
import { outriggerWith } from "./peers/outrigger.ts";

const THOUSAND = 1_000;

/** The application must listen on those addresses. */
export const COST_OF_ENDPOINTS = outriggerWith("1,000 endpoints", (port) =>
  manyEndpoints(loopbackAddresses(THOUSAND), port),
);
export const COST_OF_ROUTES = outriggerWith("1,000 routes", manyRoutes(THOUSAND));
export const COST_OF_ROUTE_POLICY = outriggerWith("20 routes with policy", routesWithPolicy(20), {
  annotations: BREAKER,
});
export const COST_OF_POLICY = outriggerWith("with policy", withPolicy());

/**
 * Loaded into our proxies by `npm run bench -- --slow-down MICROS`: each request costs each of them so much more processor
 * time. It shows that the budgets of `--check` notice a proxy that became slower.
 */
import { CountedExchange } from "../../src/http/endpoint-metrics.ts";
import { SLOW_DOWN_VARIABLE } from "./slow-down-variable.ts";

const micros = Number(process.env[SLOW_DOWN_VARIABLE] ?? 0);
// What layers extend: the exchange that is counted is there once for each request, on either side.
const observed: CountedExchange = CountedExchange.prototype;
const start: CountedExchange["start"] = Reflect.get(observed, "start");

observed.start = function (this: CountedExchange, ...args) {
  const untilMs = performance.now() + micros / 1000;
  while (performance.now() < untilMs);
  return Reflect.apply(start, this, args);
};

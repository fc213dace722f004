import { WatchCell, type Watch } from "./watch.ts";

/** A watch whose value is made from another's. Follows it until `signal` aborts, then keeps its last value. */
export function mapWatch<T, U>(source: Watch<T>, signal: AbortSignal, f: (value: T) => U): Watch<U> {
  const cell = new WatchCell(f(source.value));
  source.subscribe(signal, (value) => cell.publish(f(value)));
  return cell;
}

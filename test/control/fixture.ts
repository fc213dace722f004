import { readFileSync } from "node:fs";
import { fromJson, type DescMessage, type JsonValue, type MessageShape } from "@bufbuild/protobuf";

/** A message as a controller of the 2.18 line sends it, from `fixtures/`. */
export function fixture<D extends DescMessage>(schema: D, name: string): MessageShape<D> {
  const text = readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8");
  // Parsed JSON is a JsonValue by definition; `fromJson` judges the rest.
  return fromJson(schema, JSON.parse(text) as JsonValue);
}

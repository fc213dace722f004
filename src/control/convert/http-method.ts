import { HttpMethod_Registered, type HttpMethod } from "../../proto/gen/http_types_pb.js";
import { invalid } from "./field.ts";
import { isToken } from "./header.ts";

/** The method token, in the spelling it has on the wire. */
export function methodFromProto({ type }: HttpMethod): string {
  switch (type.case) {
    case "registered":
      // A number of a newer API has no name here.
      return HttpMethod_Registered[type.value] ?? invalid(`method ${type.value} is unknown`);
    case "unregistered":
      return isToken(type.value) ? type.value : invalid(`"${type.value}" is not a method`);
    default:
      return invalid("has no method");
  }
}

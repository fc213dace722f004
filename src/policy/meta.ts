/** The resource (or built-in default) that a policy, route, backend or authorization comes from: what people see in metrics and logs. */
export type Meta =
  | { readonly kind: "default"; readonly name: string }
  | {
      readonly kind: "resource";
      readonly group: string;
      /** The resource's own kind, as the controller spells it: `Service`, `server`, `HTTPRoute`. */
      readonly resourceKind: string;
      readonly name: string;
      readonly namespace: string;
      readonly section: string;
      readonly port: number | undefined;
    };

export function metaDefault(name: string): Meta {
  return { kind: "default", name };
}

/** Values of the labels `*_group`, `*_kind`, `*_name`. */
export function metaGroup(meta: Meta): string {
  return meta.kind === "default" ? "" : meta.group;
}
export function metaKind(meta: Meta): string {
  return meta.kind === "default" ? "default" : meta.resourceKind;
}
export function metaName(meta: Meta): string {
  return meta.name;
}
export function metaNamespace(meta: Meta): string {
  return meta.kind === "default" ? "" : meta.namespace;
}
export function metaSection(meta: Meta): string {
  return meta.kind === "default" ? "" : meta.section;
}
export function metaPort(meta: Meta): string {
  return meta.kind === "default" || meta.port === undefined ? "" : String(meta.port);
}

/** `Service.shop.web:80`, or `default.http`: how messages name a resource. */
export function formatMeta(meta: Meta): string {
  if (meta.kind === "default") return `default.${meta.name}`;
  const port = meta.port === undefined ? "" : `:${meta.port}`;
  return `${meta.resourceKind}.${meta.namespace}.${meta.name}${port}`;
}

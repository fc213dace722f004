/**
 * The one part of node-forge that is loaded, as far as it is used. Importing the package's main file would also load
 * its ciphers and its PKI readers: 39 ms of start-up time instead of 3 ms.
 */
declare module "node-forge/lib/asn1.js" {
  interface Element {
    readonly tagClass: number;
    readonly type: number;
  }
  /** Bytes as characters 0 to 255. */
  interface ByteString {
    getBytes(): string;
  }
  const asn1: {
    create(tagClass: number, type: number, constructed: boolean, value: string): Element;
    toDer(element: Element): ByteString;
    oidToDer(dotted: string): ByteString;
    integerToDer(value: number): ByteString;
    dateToUtcTime(date: Date): string;
    dateToGeneralizedTime(date: Date): string;
  };
  export default asn1;
}

/** A place in a queue, through which its item can leave early. */
export interface Place {
  /** Leaves the queue. Does nothing for an item that has already left it. */
  cancel(): void;
}

/**
 * A bounded first-in-first-out queue from whose middle items can leave, each step in constant time.
 *
 * A linked list rather than an array: when thousands of clients give up together, nothing has to be moved or skipped.
 */
export class Queue<T> {
  readonly #capacity: number;
  #first: Node<T> | undefined;
  #last: Node<T> | undefined;
  #length = 0;
  readonly #unlink = (node: Node<T>): void => this.#remove(node);

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  get hasRoom(): boolean {
    return this.#length < this.#capacity;
  }

  /** Undefined if there is no room. */
  push(item: T): Place | undefined {
    if (!this.hasRoom) return undefined;
    const node = new Node(item, this.#last, this.#unlink);
    if (this.#last === undefined) this.#first = node;
    else this.#last.next = node;
    this.#last = node;
    this.#length++;
    return node;
  }

  /** Takes the oldest item out. Do not queue `undefined`: it means that there is none. */
  shift(): T | undefined {
    const node = this.#first;
    if (node === undefined) return undefined;
    this.#remove(node);
    return node.item;
  }

  #remove(node: Node<T>): void {
    if (node.gone) return;
    node.gone = true;
    if (node.previous === undefined) this.#first = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#last = node.previous;
    else node.next.previous = node.previous;
    // A place may be held long after: it must not keep others alive.
    node.previous = undefined;
    node.next = undefined;
    this.#length--;
  }
}

class Node<T> implements Place {
  readonly item: T;
  previous: Node<T> | undefined;
  next: Node<T> | undefined = undefined;
  gone = false;
  readonly #unlink: (node: Node<T>) => void;

  constructor(item: T, previous: Node<T> | undefined, unlink: (node: Node<T>) => void) {
    this.item = item;
    this.previous = previous;
    this.#unlink = unlink;
  }

  cancel(): void {
    this.#unlink(this);
  }
}

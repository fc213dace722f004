/**
 * Every bound that protects the data path from its peers, in one place. Each name ends in its unit; the comment gives the
 * ID of the limit, its source, and what happens beyond it.
 */

// ---- HTTP/2 ------------------------------------------------------------------------------------------------------

/** LIM-9: header list that we advertise, in RFC 9113 section 6.5.2 bytes (name + value + 32 each). Beyond: 431 or a stream error. */
export const H2_HEADER_LIST_BYTES = 65_536;
/** LIM-9: how many times the advertised list a block may decode to before the connection ends with ENHANCE_YOUR_CALM. */
export const H2_HEADER_LIST_ABUSE_FACTOR = 4;
/** LIM-10: fields of one block, so that many tiny fields cost no more than a few large ones. Beyond: 431 or a stream error. */
export const H2_FIELDS_PER_BLOCK = 1_000;
/** LIM-11: streams a client may have open on one of our connections. Beyond: REFUSED_STREAM. */
export const H2_CONCURRENT_STREAMS = 4_096;
/** What we assume of a server until its SETTINGS arrive. Source: linkerd2-proxy, linkerd/http/h2/src/lib.rs (h2's default). */
export const H2_ASSUMED_PEER_STREAMS = 100;
/** LIM-12: receive window of one stream, both roles. Source: linkerd2-proxy, linkerd/app/src/env/http2.rs. */
export const H2_STREAM_WINDOW_BYTES = 65_535;
/** LIM-12: receive window of a connection, both roles. Source: linkerd2-proxy, linkerd/app/src/env/http2.rs. */
export const H2_CONNECTION_WINDOW_BYTES = 1_048_576;
/**
 * LIM-12 where windows adapt (off by default): they begin as above, and neither a stream nor a connection grows beyond this.
 * The window of a connection bounds what all of its streams together may hold, as ever. Source: hyper, src/proto/h2/ping.rs.
 */
export const H2_ADAPTIVE_WINDOW_BYTES_MAX = 16_777_216;
/** LIM-12: what adapting windows of connections may have grown by in the whole process. Beyond: they stay as they are. */
export const H2_ADAPTIVE_PROCESS_BYTES = 268_435_456;
/**
 * LIM-13: bytes that one stream may hold for a peer that does not read. No counter enforces it: credit is given only for
 * what left, so the receive window of the opposite side (by default a sixth of this) is the bound that acts. Where a
 * variable or discovery asks for a send buffer, it is at most this, on top of that window.
 */
export const H2_STREAM_SEND_BUFFER_BYTES = 409_600;
/** LIM-13: what the streams of one connection may have been given credit for before it left, all together. */
export const H2_CONNECTION_SEND_BUFFER_BYTES = 1_048_576;
/** LIM-14: at least this many CONTINUATION frames per header block are taken, however small the list limit. */
export const H2_CONTINUATION_FRAMES_MIN = 5;
/** LIM-15: streams looked back over, and the share of them that a client may reset unanswered soon after opening. */
export const H2_RESET_SAMPLE_STREAMS = 500;
export const H2_RESET_SAMPLE_SHARE = 0.5;
/** LIM-15: a reset later than this after opening is an ordinary cancellation. */
export const H2_RESET_SOON_MS = 1_000;
/** LIM-16: stream errors that a peer may make us raise on one connection, forgiven slowly. Beyond: ENHANCE_YOUR_CALM. */
export const H2_STREAM_ERRORS = 1_024;
/** LIM-16: stream errors forgiven each second, so that a connection of months is not ended by rare mistakes. */
export const H2_STREAM_ERRORS_FORGIVEN_PER_SECOND = 1;
/** LIM-17: control frames that may wait for a peer that does not read. Beyond: we stop reading. */
export const H2_UNSENT_CONTROL_FRAMES = 1_000;
/** LIM-17: the same in bytes. */
export const H2_UNSENT_CONTROL_BYTES = 1_048_576;
/** LIM-17: how long we stop reading before the connection is closed. */
export const H2_UNSENT_CONTROL_MS = 10_000;
/** LIM-18: DATA frames without content and without END_STREAM that may follow each other. Beyond: ENHANCE_YOUR_CALM. */
export const H2_EMPTY_DATA_IN_A_ROW = 100;
/** LIM-18: the same in total, forgiven slowly; also frames of nothing but padding. */
export const H2_EMPTY_DATA = 1_000;
/** CVE-2019-9515: SETTINGS frames, each of which may touch every stream. Forgiven slowly. Beyond: ENHANCE_YOUR_CALM. */
export const H2_SETTINGS_FRAMES = 1_000;
/** Units of the two budgets above that are forgiven each second. */
export const H2_FRAMES_FORGIVEN_PER_SECOND = 10;
/** Streams that we reset and remember at most, so that what the peer had already sent is dropped. Source: linkerd2-proxy (h2), 1,024. */
export const H2_RESET_STREAMS_REMEMBERED = 1_024;
/** Largest frame payload that we take and send, RFC 9113 section 4.2: its minimum, so that streams share a connection finely. */
export const H2_FRAME_BYTES = 16_384;
/** Dynamic table of HPACK, both directions, RFC 9113 section 6.5.2: its default, and never more whatever a peer offers. */
export const HPACK_TABLE_BYTES = 4_096;
/** How long a connection that said GOAWAY for an error may take to close before it is cut (outcome code C:x). */
export const H2_CLOSE_LINGER_MS = 1_000;

// ---- HTTP/1 ------------------------------------------------------------------------------------------------------

/** LIM-1, LIM-8: bytes of a request or response head. Beyond: 431, or 502 for a response. Source: hyper, 8,192 + 4,096 x 100. */
export const H1_HEAD_BYTES = 417_792;
/** LIM-2, LIM-8: field lines of a head. Beyond: 431, or 502 for a response. Source: hyper. */
export const H1_FIELD_LINES = 100;
/** LIM-3: bytes of a request target. Beyond: 414. Source: hyper (http::Uri). */
export const H1_TARGET_BYTES = 65_534;
/** Bytes of a field name. Beyond: 431. Source: hyper (http::HeaderName). */
export const H1_NAME_BYTES = 65_535;
/** Bytes of empty lines that are skipped before a request line (RFC 9112 section 2.2). Beyond: 400. */
export const H1_LEADING_BLANK_BYTES = 1_024;
/** LIM-4: incomplete request heads of the whole process together. Beyond: 431 for the newest. */
export const H1_INCOMPLETE_HEADS_BYTES = 67_108_864;
/** LIM-5: time from the first byte of a request head to its end. Beyond: 408. An idle connection is never cut by it. */
export const H1_HEAD_TIMEOUT_MS = 60_000;
/** LIM-7: chunk extensions of one body. Beyond: the body is malformed. Source: hyper. */
export const H1_CHUNK_EXTENSION_BYTES = 16_384;
/** Hexadecimal digits of a chunk size, leading zeros included. Beyond: the body is malformed. */
export const H1_CHUNK_SIZE_DIGITS = 32;
/** LIM-7: trailers of one body. Beyond: the body is malformed. Source: hyper. */
export const H1_TRAILER_BYTES = 16_384;
/** LIM-7: trailer lines of one body. Beyond: the body is malformed. */
export const H1_TRAILER_LINES = 100;
/** Interim (1xx) responses before a final one. Beyond: 502 (RS-19). */
export const H1_INTERIM_RESPONSES = 100;
/** Body bytes that a connection passes on before the far side credits them; then it is not read. One read more may be under way. */
export const H1_WINDOW_BYTES = 131_072;
/** Rest of a request body that is worth reading after the response is complete, to keep the connection (1.1 clients only). */
export const H1_UNREAD_BODY_BYTES = 65_536;
/** How long a connection that we ended may take to be closed by its peer before it is cut. */
export const H1_LINGER_MS = 5_000;

// ---- retries -----------------------------------------------------------------------------------------------------

/** LIM-20: request body kept for a retry, whatever a policy allows. Beyond: the request is not retried. */
export const REPLAY_REQUEST_BYTES = 65_536;
/** LIM-20: the same of all requests of the process. */
export const REPLAY_PROCESS_BYTES = 67_108_864;

// ---- traces ------------------------------------------------------------------------------------------------------

/** Characters of a trace header, several times what the formats need. Beyond: the header is not looked at. */
export const TRACE_VALUE_CHARS = 256;
/** Characters of one attribute of a span: paths and headers come from strangers. Beyond: it is cut. */
export const SPAN_ATTRIBUTE_CHARS = 1_024;
